// Allocates through C++'s standard library, also in threads and in templates with long names.
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

template <class Key, class Value>
struct CacheOfThingsWithALongName {
  std::map<Key, Value> things;

  [[gnu::noinline]] void fill(int count) {
    for (int i = 0; i < count; i++) things[std::to_string(i)] = Value(10, i);
  }
};

[[gnu::noinline]] std::vector<int> numbers(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; i++) all.push_back(i);
  return all;
}

[[gnu::noinline]] std::string text(int count) {
  std::string all;
  for (int i = 0; i < count; i++) all += "abc";
  return all;
}

int main() {
  auto some = numbers(3000000);
  auto letters = text(3000000);
  CacheOfThingsWithALongName<std::string, std::vector<long>> cache;
  cache.fill(20000);
  std::vector<std::unique_ptr<std::vector<int>>> results(3);
  std::vector<std::thread> threads;
  for (auto &result : results)
    threads.emplace_back(
        [&result] { result = std::make_unique<std::vector<int>>(numbers(500000)); });
  for (auto &thread : threads) thread.join();
  return some.empty() || letters.empty() || cache.things.empty();
}
