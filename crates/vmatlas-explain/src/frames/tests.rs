use super::{FrameRole, path, without_templates};

#[test]
fn frames_that_pass_requests_on_are_known_and_the_programs_own_are_kept() {
    use FrameRole::{Allocator, CLibrary, Loader, Program, Standard};
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let cases = [
        (Allocator, "__GI___libc_malloc", libc),
        (Allocator, "__mmap64", libc),
        (Allocator, "sysmalloc_mmap.constprop.0", "static"),
        (Allocator, "operator new[](unsigned long, std::align_val_t)", "libstdc++.so.6"),
        (Allocator, "_rjem_je_extent_alloc_mmap", "tool"),
        (Allocator, "_mi_page_malloc", "tool"),
        (Allocator, "anything", "/opt/lib/libjemalloc.so.2"),
        (Allocator, "__rust_realloc", "tool"),
        (Loader, "_dl_map_segments", "/lib64/ld-linux-x86-64.so.2"),
        (Loader, "_dl_relocate_static_pie", "static"),
        (Loader, "dlopen", libc),
        (CLibrary, "fopen64", libc),
        (CLibrary, "_start", "tool"),
        (CLibrary, "__libc_start_call_main", "static"),
        (
            Standard,
            "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)",
            "t",
        ),
        (Standard, "std::allocator_traits<A<int> >::allocate(A<int>&, unsigned long)", "t"),
        (Standard, "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)", "t"),
        (Standard, "eastl::list<int>::_M_grow(unsigned long)", "t"),
        (Standard, "alloc::raw_vec::finish_grow", "t"),
        (Standard, "<alloc::vec::Vec<T> as core::iter::Extend<T>>::extend", "t"),
        (Program, "core::Engine::grow(int)", "t"),
        (Program, "<tool::Cache as core::iter::Extend<u8>>::extend", "t"),
        (Program, "void grow<std::vector<int> >(std::vector<int>&)", "t"),
        (Program, "std_grow(std::vector<int>&)", "t"),
        (Program, "Cache::operator new(unsigned long)", "t"),
        (Program, "mmap_cache", "t"),
        (Program, "mi_cmd_stack_list_frames", "gdb"),
        (CLibrary, "clone3", "static"),
        (Standard, "execute_native_thread_routine", "static"),
        (Program, "start_thread", "t"),
        (Program, "start", "t"),
        (Program, "", "t"),
    ];
    for (role, function, file) in cases {
        assert_eq!(FrameRole::of(function, file, ""), role, "{function} of {file}");
    }
    let inlined =
        FrameRole::of("emplace_back<int>", "t", "/usr/include/c++/12/bits/vector.tcc:123");
    assert_eq!(inlined, Standard);
}

#[test]
fn names_of_any_language_are_read() {
    let cases = [
        ("std::ostream& std::operator<< <char>(std::ostream&, char const*)", "std::operator<< <…>"),
        ("A<int>::operator->() const", "A<…>::operator->"),
        ("bool operator< <int>(A<int> const&, A<int> const&)", "operator< <…>"),
        ("operator new(unsigned long)", "operator new"),
        ("A::operator unsigned long() const", "A::operator unsigned long"),
        ("main::{lambda(int)#1}::operator()(int) const", "main::{lambda(int)#1}::operator()"),
        ("decltype (f(x)) g<A<B> >(A<B>)", "g<…>"),
        ("main.(*Cache[int]).Grow", "main.(*Cache[int]).Grow"),
        ("JS:*grow /tmp/a (1).js:3", "JS:*grow /tmp/a (1).js:3"),
        ("größer<é>(int)", "größer<…>"),
        ("a<b", "a<b"),
        ("(", "("),
        (")>", ")>"),
    ];
    for (name, short) in cases {
        assert_eq!(without_templates(path(name)), short, "{name}");
    }
}

#[test]
fn any_name_has_a_path() {
    const PARTS: [&str; 9] = ["<", ">", "(", ")", " ", "::", "operator", "é", "-"];
    for number in 0..PARTS.len().pow(5) {
        let digits = (0..5).map(|at| number / PARTS.len().pow(at) % PARTS.len());
        let name: String = digits.map(|digit| PARTS[digit]).collect();
        assert!(name.contains(path(&name)));
        assert!(without_templates(&name).chars().count() <= name.chars().count() + 5, "{name}");
        assert_eq!(FrameRole::of(&name, &name, ""), FrameRole::Program);
    }
}
