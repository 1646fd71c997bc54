//! What goes out over TLS, and what does not.

use super::*;

/// Runs itself with a certificate store, which the machine may not have.
#[tokio::test]
async fn what_is_asked_for_over_tls_is_asked_for_over_nothing_else() {
    const INNER: &str = "KEEPWATCH_TEST_WITH_STORE";
    if std::env::var_os(INNER).is_some() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = client_for("https://127.0.0.1:1");
        let plain = format!("http://{}/v1/sessions/s", listener.local_addr().unwrap());
        let error = client.http().unwrap().get(plain).send().await.unwrap_err();
        assert!(error.is_builder(), "{error:?}");
        return assert_no_connection(&listener);
    }
    let store = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(store.path(), include_str!("../../../../tests/fixtures/tls/authority.pem")).unwrap();
    let name = "api::client::tests::tls::what_is_asked_for_over_tls_is_asked_for_over_nothing_else";
    let mut inner = Command::new(std::env::current_exe().unwrap());
    let output =
        inner.args(["--exact", name]).env(INNER, "1").env("SSL_CERT_FILE", store.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
