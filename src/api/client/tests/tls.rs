//! Tests of TLS connections.

use super::*;

/// Runs itself as a child process with a certificate store, because the machine may not have one.
#[tokio::test]
async fn tls_client_never_uses_plain_http() {
    const CHILD_VARIABLE: &str = "KEEPWATCH_TEST_WITH_STORE";
    if std::env::var_os(CHILD_VARIABLE).is_some() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = client_for("https://127.0.0.1:1");
        let plain_url = format!("http://{}/v1/sessions/s", listener.local_addr().unwrap());
        let error = client.http().unwrap().get(plain_url).send().await.unwrap_err();
        assert!(error.is_builder(), "reqwest refuses a plain URL before it connects: {error:?}");
        return assert_no_connection(&listener);
    }
    let store = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(store.path(), include_str!("../../../../tests/fixtures/tls/authority.pem")).unwrap();
    let name = "api::client::tests::tls::tls_client_never_uses_plain_http";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child
        .args(["--exact", name])
        .env(CHILD_VARIABLE, "1")
        .env("SSL_CERT_FILE", store.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}
