use super::super::tree::Tree;
use super::{Digest, Layer, archive};

fn small() -> Tree {
    let mut tree = Tree::default();
    tree.directory("tmp", 0o1777);
    tree.file("usr/bin/program", 0o755, "#!");
    tree.file("etc/protocols", 0o644, "tcp 6 TCP\n");
    tree.link("bin", "usr/bin");
    tree
}

/// Lists the entries of an archive: kind, mode, owner, time, path, and the link's end or the
/// content.
fn listing(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("an archive");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = String::new();
            std::io::Read::read_to_string(&mut entry, &mut content).expect("text");
            let header = entry.header();
            let link = header
                .link_name()
                .expect("a link's end")
                .unwrap_or_default();
            format!(
                "{:?} {:o} {}:{} {} {} {}{}",
                header.entry_type(),
                header.mode().expect("a mode"),
                header.uid().expect("a user"),
                header.gid().expect("a group"),
                header.mtime().expect("a time"),
                entry.path().expect("a path").display(),
                link.display(),
                content.trim(),
            )
        })
        .collect()
}

#[test]
fn entries_are_sorted_and_belong_to_root() {
    assert_eq!(
        listing(&archive(&small(), 7).expect("an archive")),
        [
            "Symlink 777 0:0 7 bin usr/bin",
            "Directory 755 0:0 7 etc/ ",
            "Regular 644 0:0 7 etc/protocols tcp 6 TCP",
            "Directory 1777 0:0 7 tmp/ ",
            "Directory 755 0:0 7 usr/ ",
            "Directory 755 0:0 7 usr/bin/ ",
            "Regular 755 0:0 7 usr/bin/program #!",
        ]
    );
}

#[test]
fn paths_may_be_long() {
    let long = format!("{}/program", "long/".repeat(60).trim_end_matches('/'));
    let mut tree = Tree::default();
    tree.file(&long, 0o644, "x");
    let listing = listing(&archive(&tree, 0).expect("an archive"));
    assert_eq!(listing.last(), Some(&format!("Regular 644 0:0 0 {long} x")));
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let [first, second] = [(); 2].map(|()| Layer::new("a", &small(), 0).expect("a layer"));
    assert_eq!(first, second);
}

#[test]
fn a_change_gives_another_digest() {
    let digest = |change: fn(&mut Tree)| {
        let mut tree = small();
        change(&mut tree);
        Layer::new("a", &tree, 0).expect("a layer").digest
    };
    let before = digest(|_| ());
    assert_ne!(
        before,
        digest(|tree| tree.file("usr/bin/program", 0o755, "##"))
    );
    assert_ne!(
        before,
        digest(|tree| tree.file("usr/bin/program", 0o744, "#!"))
    );
    assert_ne!(before, digest(|tree| tree.link("bin", "usr/sbin")));
    assert_ne!(
        before,
        Layer::new("a", &small(), 1).expect("a layer").digest
    );
}

#[test]
fn the_compressed_archive_is_the_archive() {
    let layer = Layer::new("a", &small(), 0).expect("a layer");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(&layer.compressed[..]),
        &mut unpacked,
    )
    .expect("gzip");
    assert_eq!(unpacked, archive(&small(), 0).expect("an archive"));
    assert_eq!(layer.diff, Digest::of(&unpacked));
    assert_eq!(layer.unpacked, unpacked.len());
}

#[test]
fn a_digest_is_sha_256() {
    // FIPS 180-2, appendix B.1.
    assert_eq!(
        Digest::of(b"abc").to_string(),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
