//! Linux paths as bytes. `std::path` can build a path from bytes only on Unix.

/// The directory of a file; empty for a bare name, `None` for the root and for an empty path.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    let path = without_slashes(path);
    let name = path.iter().rev().take_while(|&&b| b != b'/').count();
    if name == 0 {
        return None;
    }
    let folder = &path[..path.len() - name];
    Some(match without_slashes(folder) {
        [] if !folder.is_empty() => b"/",
        folder => folder,
    })
}

/// Joins `name` to the directory `dir`; an absolute `name` is returned unchanged.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match (dir, name) {
        (_, [b'/', ..]) | ([], _) => name.to_vec(),
        ([.., b'/'], _) => [dir, name].concat(),
        _ => [dir, b"/", name].concat(),
    }
}

/// The path without leading slashes, relative to the root.
pub(super) fn from_root(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|&&b| b == b'/').count();
    &path[slashes..]
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let slashes = path.iter().rev().take_while(|&&b| b == b'/').count();
    &path[..path.len() - slashes]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn as_std_has_them() {
        let paths =
            ["", "/", "//", "a", "a/", "/a", "//a", "a/b", "/a/b", "/a//b", "/a/b//", "a/b/c"];
        for path in paths {
            let ours = parent(path.as_bytes()).map(|dir| str::from_utf8(dir).unwrap());
            assert_eq!(ours.map(Path::new), Path::new(path).parent(), "{path:?}");
            for name in paths {
                let ours = join(path.as_bytes(), name.as_bytes());
                let ours = Path::new(str::from_utf8(&ours).unwrap());
                assert_eq!(ours, Path::new(path).join(name), "{path:?} {name:?}");
            }
        }
        assert_eq!(from_root(b"//usr/bin"), b"usr/bin");
        assert_eq!(from_root(b"bin"), b"bin");
    }
}
