use crate::refused;
use apiserver::{Kubeconfig, Server, ServerConfig};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::ListParams;

async fn list(kubeconfig: &Kubeconfig) -> Result<usize, kube::Error> {
    let api: Api<Service> = Api::all(kubeconfig.client().await?);
    Ok(api.list(&ListParams::default()).await?.items.len())
}

#[tokio::test]
async fn token_is_required() {
    let config = ServerConfig {
        token: Some("right".into()),
        ..ServerConfig::default()
    };
    let server = Server::start(config).await.unwrap();
    let right = server.kubeconfig();
    assert_eq!(list(&right).await.unwrap(), 0);
    for token in [Some("wrong".into()), None] {
        let wrong = Kubeconfig {
            token,
            ..right.clone()
        };
        refused(list(&wrong).await, 401, "Unauthorized");
    }
}

#[tokio::test]
async fn tls_is_verified() {
    let config = ServerConfig {
        tls: true,
        ..ServerConfig::default()
    };
    let server = Server::start(config).await.unwrap();
    let right = server.kubeconfig();
    assert!(right.url.starts_with("https://"));
    assert_eq!(list(&right).await.unwrap(), 0);
    assert!(
        list(&Kubeconfig {
            ca_pem: None,
            ..right.clone()
        })
        .await
        .is_err(),
        "an unknown authority is trusted"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    right.write(file.path()).unwrap();
    let read = kube::config::Kubeconfig::read_from(file.path()).unwrap();
    assert_eq!(read.current_context.as_deref(), Some("test"));
}
