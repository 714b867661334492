//! Files of authorities: mistakes, and changes.

use std::fs;

use model::NodeConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Time after which a test fails that waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the PEM texts of a new authority's certificate and key.
fn pem() -> (String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn problems_name_the_file_and_show_nothing_of_it() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("ca.pem");
    let files: Files = [("shop".into(), path.clone())].into();
    let (certificate, key) = pem();
    let long = "x".repeat(2 << 20);
    let invalid = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    for (text, problem) in [
        (
            None,
            "cannot be read: No such file or directory (os error 2)",
        ),
        (Some(""), "has no certificate"),
        (Some(&*key), "has no certificate"),
        (Some("-----BEGIN secret"), "is no PEM file"),
        (Some(&*long), "is longer than 1024 KiB"),
        (Some(invalid), "has an invalid certificate, number 1"),
    ] {
        if let Some(text) = text {
            fs::write(&path, text).expect("written");
        }
        let (none, problems) = Authorities::default().read(&files);
        let expected = format!(
            "healthChecks.authorities.shop: {} {problem}; probes that need it are not made, and their \
             endpoints count as healthy",
            path.display()
        );
        assert_eq!(problems, [expected]);
        assert!(none.client(&Verify::Authority("shop".into())).is_err());
    }
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a folder");
    let (_, problems) = Authorities::default().read(&files);
    assert!(problems[0].contains(" is no file; "), "{problems:?}");

    // A file that is broken later leaves the certificates in force.
    fs::remove_dir(&path).expect("removed");
    fs::write(&path, certificate.repeat(2)).expect("written");
    let (read, problems) = Authorities::default().read(&files);
    assert_eq!(problems, [""; 0]);
    assert_eq!(read.counts(), [(&Name::from("shop"), 2)].into());
    fs::write(&path, "").expect("written");
    let (after, problems) = read.read(&files);
    assert!(after.equals(&read));
    let stays = "has no certificate; the certificates that were read before stay in force";
    assert!(problems[0].ends_with(stays), "{problems:?}");
}

#[tokio::test]
async fn changed_files_and_names_are_read() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("ca.pem");
    let with = |files: Files| {
        Arc::new(Resolved {
            node: NodeConfig {
                health_check_authorities: files,
                ..NodeConfig::new("node1")
            },
            ..Resolved::default()
        })
    };
    let (config, follower) = watch::channel(with(Files::new()));
    let (sender, mut authorities) = watch::channel(Arc::<Authorities>::default());
    let task = tokio::spawn(follow(follower, sender));
    let next = async |authorities: &mut watch::Receiver<Arc<Authorities>>| {
        let changed = timeout(PATIENCE, authorities.changed()).await;
        changed.expect("in time").expect("a sender");
        let now = Arc::clone(&authorities.borrow_and_update());
        let mut all = now.by_name.values();
        all.next()
            .map(|authority| authority.certificates[0].clone())
    };
    fs::write(&path, pem().0).expect("written");
    config.send_replace(with([("shop".into(), path.clone())].into()));
    let first = next(&mut authorities).await;
    assert!(first.is_some());
    // As the volume of a ConfigMap is updated, the file is replaced.
    let new = folder.path().join("new");
    fs::write(&new, pem().0).expect("written");
    fs::rename(&new, &path).expect("renamed");
    let second = next(&mut authorities).await;
    assert!(second.is_some() && second != first);
    config.send_replace(with(Files::new()));
    assert_eq!(next(&mut authorities).await, None);
    drop(config);
    timeout(PATIENCE, task)
        .await
        .expect("it ends")
        .expect("no panic");
}
