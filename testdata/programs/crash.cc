// Ends itself in the way that its argument names, as C++ programs do.
#include <cstring>
#include <stdexcept>
#include <thread>

struct Base {
    Base() { call(); }
    virtual ~Base() {}
    virtual void work() = 0;
    __attribute__((noinline)) void call() { work(); }
};

struct Derived : Base {
    void work() override {}
};

__attribute__((noinline)) static void pure_virtual() { Derived derived; }
__attribute__((noinline)) static void joinable() { std::thread thread([] {}); }
__attribute__((noinline)) static void uncaught() { throw std::runtime_error("nobody catches this"); }
__attribute__((noinline)) static void forbidden() noexcept { uncaught(); }
__attribute__((noinline)) static void called() { std::terminate(); }

int main(int, char **arguments) {
    const char *way = arguments[1];
    if (!strcmp(way, "pure_virtual"))
        pure_virtual();
    else if (!strcmp(way, "joinable"))
        joinable();
    else if (!strcmp(way, "uncaught"))
        uncaught();
    else if (!strcmp(way, "forbidden"))
        forbidden();
    else
        called();
}
