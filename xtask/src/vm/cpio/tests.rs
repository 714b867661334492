use super::*;

#[test]
fn a_file_with_its_directories() {
    let place = tempfile::tempdir().expect("a directory");
    let host = place.path().join("f");
    fs::write(&host, "hello").expect("written");
    fs::set_permissions(&host, fs::Permissions::from_mode(0o640)).expect("set");
    let mut archive = Archive::new(Vec::new(), 1);
    archive.file(&host, Path::new("a/b/f")).expect("added");
    let bytes = archive.finish().expect("finished");
    assert_eq!(bytes.len() % 4, 0);
    let seen = entries(&bytes);
    assert_eq!(
        seen,
        [
            ("a".to_owned(), 0o040_755, String::new()),
            ("a/b".to_owned(), 0o040_755, String::new()),
            ("a/b/f".to_owned(), 0o100_640, "hello".to_owned()),
            ("TRAILER!!!".to_owned(), 0, String::new()),
        ]
    );
}

#[test]
fn a_tree_keeps_links() {
    let place = tempfile::tempdir().expect("a directory");
    fs::create_dir(place.path().join("d")).expect("made");
    std::os::unix::fs::symlink("d/gone", place.path().join("l")).expect("linked");
    let mut archive = Archive::new(Vec::new(), 1);
    archive.tree(place.path(), Path::new("")).expect("added");
    let names: Vec<_> = entries(&archive.finish().expect("finished"));
    assert_eq!(names[0], ("d".to_owned(), 0o040_755, String::new()));
    assert_eq!(names[1], ("l".to_owned(), 0o120_777, "d/gone".to_owned()));
}

/// Name, mode and content, read back as the kernel's init/initramfs.c does.
fn entries(bytes: &[u8]) -> Vec<(String, u32, String)> {
    let (mut at, mut all) = (0, Vec::new());
    while at < bytes.len() {
        assert_eq!(&bytes[at..at + 6], b"070701");
        let field = |n: usize| {
            let text = &bytes[at + 6 + 8 * n..at + 14 + 8 * n];
            u32::from_str_radix(std::str::from_utf8(text).expect("text"), 16).expect("a number")
        };
        let (mode, size, length) = (field(1), field(6) as usize, field(11) as usize);
        let name = at + 110;
        let content = (name + length).next_multiple_of(4);
        let text = |from: usize, to: usize| String::from_utf8_lossy(&bytes[from..to]).into_owned();
        all.push((
            text(name, name + length - 1),
            mode,
            text(content, content + size),
        ));
        at = (content + size).next_multiple_of(4);
    }
    all
}
