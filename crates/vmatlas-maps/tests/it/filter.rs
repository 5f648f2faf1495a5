//! Filter expressions: the syntax that is accepted, and the error messages.

use vmatlas_maps::{Filter, Maps};

const ROWS: &[u8] = b"00400000-00401000 r-xp 00001000 fe:00 42 /usr/bin/cat\n\
    00600000-00a00000 rwxp 00000000 00:00 0 \n\
    01000000-01001000 rw-p 00000000 00:00 0 [heap]\n\
    02000000-02001000 r--p 00000000 fe:00 43 /usr/lib/libm.so.6 (deleted)\n";

#[track_caller]
fn takes(expression: &str, expect: &[usize]) {
    let filter: Filter = expression.parse().unwrap_or_else(|error| panic!("{expression}: {error}"));
    let maps = Maps::parse(ROWS).unwrap();
    let rows: Vec<usize> =
        maps.iter().enumerate().filter(|(_, row)| filter.matches(row)).map(|(i, _)| i).collect();
    assert_eq!(rows, expect, "{expression}");
}

#[test]
fn conditions() {
    takes("perms = rwxp", &[1]);
    takes("perms = ?w*", &[1, 2]);
    takes("perms = rwx", &[1]);
    takes("perms = r-x or perms = rw-", &[0, 2]);
    takes("perms != r-x", &[1, 2, 3]);
    takes("perms has x", &[0, 1]);
    takes("perms has xw and not perms has s", &[1]);
    takes("name = [heap]", &[2]);
    takes("perms=rw-p&&size>1K", &[2]);
    takes("kind=heap||kind=anonymous", &[1, 2]);
    takes("perms ~ x", &[0, 1]);
    takes("size >= 4M", &[1]);
    takes("size>4095 and size<=0x1000", &[0, 2, 3]);
    takes("kind = heap or kind = anonymous", &[1, 2]);
    takes("not (kind = heap or kind=anonymous)", &[0, 3]);
    takes("!kind = heap && ! perms ~ 'x'", &[3]);
    takes("name = *.so*", &[3]);
    takes("name = '/usr/*(deleted)'", &[3]);
    takes(r#"name ~ "^/usr/(bin|sbin)/""#, &[0]);
    takes("name !~ usr", &[1, 2]);
    takes("device != 00:00 and inode > 42", &[3]);
    takes("addr = 0x600000", &[1]);
    takes("addr != 0x600000", &[0, 2, 3]);
    takes("start < 0x600000 || offset == 4K", &[0]);
    takes("rss > 0", &[]);
    takes("kind = heap or kind = file and size > 1G", &[2]);
}

#[test]
fn errors_point_at_the_column() {
    let mut text = String::new();
    for expression in [
        "",
        "size",
        "size ~ 4",
        "size > ",
        "size > 4X",
        "size > 99999999999T",
        "colour = red",
        "kind = heep",
        "perms = x",
        "perms = xwr",
        "perms = rwxps",
        "perms has -w",
        "name has libc",
        "name ~ '('",
        "name = \"/x",
        "(size > 1",
        "size > 1 and",
        "size > 1 perms = rwxp",
        "ééé = 1",
        "addr < 5",
        &"(".repeat(1000),
        "name ~ '(a{1000}){1000}'",
    ] {
        let error = expression.parse::<Filter>().map(|_| ()).unwrap_err();
        text.push_str(&format!("{:.30}: {error}\n", expression));
    }
    insta::assert_snapshot!(text, @r#"
    : column 1: expected a field: start, end, size, perms, offset, device, inode, name, kind, path, deleted, state, sections, label, confidence, because, origin, pid, comm, exe, uid, cgroup, container, unit, started, addr, or a size of smaps such as rss
    size: column 5: expected one of = != < <= > >= ~ !~
    size ~ 4: column 6: `size` takes = != < <= > >=
    size > : column 8: expected a value
    size > 4X: column 8: expected a number, like 4096, 0x7f00, 4K or 1G
    size > 99999999999T: column 8: expected a number, like 4096, 0x7f00, 4K or 1G
    colour = red: column 1: expected a field: start, end, size, perms, offset, device, inode, name, kind, path, deleted, state, sections, label, confidence, because, origin, pid, comm, exe, uid, cgroup, container, unit, started, addr, or a size of smaps such as rss
    kind = heep: column 8: no such kind; there are file, anonymous, heap, stack, thread-stack, named-anonymous, named-shared-anonymous, shared-anonymous, memfd, sysv-shm, huge-anonymous, anon-inode, socket, aio, secretmem, dma-buf, device, vdso, vvar, vsyscall, special
    perms = x: column 9: no permissions are `x`: write three letters (`rw-`) or four (`rw-p`), each at its place, with `?` for any; or `perms has x`
    perms = xwr: column 9: no permissions are `xwr`: write three letters (`rw-`) or four (`rw-p`), each at its place, with `?` for any; or `perms has x`
    perms = rwxps: column 9: no permissions are `rwxps`: write three letters (`rw-`) or four (`rw-p`), each at its place, with `?` for any; or `perms has x`
    perms has -w: column 11: `perms has` takes letters of r w x p s, not `-w`; `not perms has w` asks for mappings without one
    name has libc: column 9: only `perms` takes has; `~` finds a text inside another
    name ~ '(': column 9: not a regular expression: unclosed group
    name = "/x: column 8: this quote is not closed
    (size > 1: column 10: expected `)`
    size > 1 and: column 13: expected a field: start, end, size, perms, offset, device, inode, name, kind, path, deleted, state, sections, label, confidence, because, origin, pid, comm, exe, uid, cgroup, container, unit, started, addr, or a size of smaps such as rss
    size > 1 perms = rwxp: column 10: expected `and`, `or` or the end
    ééé = 1: column 1: expected a field: start, end, size, perms, offset, device, inode, name, kind, path, deleted, state, sections, label, confidence, because, origin, pid, comm, exe, uid, cgroup, container, unit, started, addr, or a size of smaps such as rss
    addr < 5: column 6: `addr` takes = and !=
    ((((((((((((((((((((((((((((((: column 65: too deeply nested
    name ~ '(a{1000}){1000}': column 9: not a regular expression: Compiled regex exceeds size limit of 1048576 bytes.
    "#);
}

#[test]
fn texts_that_are_to_be_whole() {
    let filter: Filter =
        "name = libc or not label = x or kind = heap and path = a*".parse().unwrap();
    let whole: Vec<(&str, &str)> =
        filter.whole_texts().iter().map(|(field, text)| (field.name, *text)).collect();
    assert_eq!(whole, [("name", "libc"), ("kind", "heap")]);
}
