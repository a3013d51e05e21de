//! A `PostgreSQL` server that is spoken to with TLS.

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

use crate::{
    cluster::Cluster,
    database::Database,
    postgres::{config, rows, serves},
    support::Gateway,
    usage,
};

/// A certificate authority of the test's own, its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// The key of `[ledger]` that trusts it.
    fn key(&self) -> String {
        let file = self.folder.path().join("ca.pem");
        format!("ca_file = \"{}\"\ninterval = \"50ms\"", file.display())
    }

    /// A server with a certificate of it for this name or address.
    async fn server(&self, name: &str) -> Cluster {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Cluster::start_with_tls(&certificate.pem(), &key.serialize_pem()).await
    }
}

/// What `millgate usage` says of this server, with these keys.
fn refusal(cluster: &Cluster, words: &str, keys: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let database = Database::Postgres(cluster.url_with(words));
    std::fs::write(&file, config(&database, keys)).unwrap();
    let output = usage(&file, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("canary-password"), "{text}");
    text
}

#[tokio::test]
async fn a_server_with_a_certificate_of_the_authority_is_written_to() {
    let authority = Authority::new();
    let cluster = authority.server("127.0.0.1").await;
    for (before, words) in ["?sslmode=verify-full", "?sslmode=require", ""]
        .iter()
        .enumerate()
    {
        let database = Database::Postgres(cluster.url_with(words));
        let mut gateway = Gateway::start(&config(&database, &authority.key())).await;
        serves(&gateway, 1).await;
        gateway.signal("TERM");
        assert!(gateway.ended().await.success());
        assert_eq!(rows(&cluster.url()).await.len(), before + 1, "{words}");
    }
    // The server takes nobody without TLS.
    let text = refusal(&cluster, "?sslmode=disable", &authority.key());
    assert!(text.contains("no encryption"), "{text}");
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused_whatever_the_mode() {
    let (authority, other) = (Authority::new(), Authority::new());
    let cluster = authority.server("127.0.0.1").await;
    for words in [
        "?sslmode=verify-full",
        "?sslmode=verify-ca",
        "?sslmode=require",
        "?sslmode=prefer",
        "",
    ] {
        for keys in [other.key(), String::new()] {
            let text = refusal(&cluster, words, &keys);
            assert!(
                text.contains("not trusted") && text.contains("ca_file"),
                "{words}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let cluster = authority.server("db.example.com").await;
    let text = refusal(&cluster, "?sslmode=require", &authority.key());
    assert!(
        text.contains("not trusted") && text.contains("db.example.com"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let authority = Authority::new();
    let mut cluster = authority.server("127.0.0.1").await;
    cluster.stop();
    cluster.run_without_tls().await;
    let text = refusal(&cluster, "?sslmode=require", &authority.key());
    assert!(
        text.contains("does not support TLS") && text.contains("sslmode"),
        "{text}"
    );
}
