//! Checks the file of `SSL_CERT_FILE` before rustls reads it. rustls reads any file to its end: a pipe would hang the
//! program, and a device such as `/dev/zero` would fill the memory.

use std::fs;
use std::path::Path;

use keepwatch_core::session::ApiErrorKind;
use keepwatch_core::text::Untrusted;

/// The maximum size of a file with certificates, in bytes. The certificates of all authorities take 300 kB.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Checks that `SSL_CERT_FILE`, if it is set, names a regular file of at most [`MAX_FILE_BYTES`]. `env` returns the
/// value of an environment variable.
///
/// # Errors
/// The file does not exist, is too large, or is no regular file.
pub(super) fn check(env: impl Fn(&str) -> Option<String>) -> Result<(), ApiErrorKind> {
    let Some(file) = env("SSL_CERT_FILE") else { return Ok(()) };
    let is_acceptable = fs::metadata(Path::new(&file))
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_FILE_BYTES);
    // promise: certificate-file, mutant: !is_acceptable -> false
    if !is_acceptable {
        return Err(variable_error("SSL_CERT_FILE", &file));
    }
    Ok(())
}

/// Returns the error of a variable that names no certificates.
pub(super) fn variable_error(name: &str, value: &str) -> ApiErrorKind {
    ApiErrorKind::CertificateVariable(Untrusted::new(format!("{name}={value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_regular_files_are_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("store.pem"), "").unwrap();
        fs::File::create(path("large.pem")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert_eq!(check(|_| None), Ok(()));
        assert_eq!(check(|_| Some(path("store.pem"))), Ok(()));
        for refused in [path("pipe"), path("large.pem"), path("missing"), path("."), "/dev/zero".into()] {
            let error = check(|name| (name == "SSL_CERT_FILE").then(|| refused.clone()));
            assert_eq!(error, Err(variable_error("SSL_CERT_FILE", &refused)), "{refused}");
        }
    }
}
