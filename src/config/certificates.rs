//! Certificates and private keys in PEM files: read when the configuration is checked, and anew at each connect, so that
//! what was renewed is used without a restart. What is wrong with one is said in the same words both times.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::url::Wrong;

/// The provider of cryptography, the only one in the tree.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates of `path` as what others are checked against.
///
/// # Errors
/// What is wrong with the file, and the remedy.
pub fn roots(path: &Path) -> Result<RootCertStore, Wrong> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            let what = format!("`{}` holds a certificate that cannot be used: {error}", path.display());
            (what, "name the certificate of the CA, in PEM".to_owned())
        })?;
    }
    Ok(roots)
}

/// The roots that the system trusts.
///
/// # Errors
/// There are none.
pub fn system_roots() -> Result<RootCertStore, Wrong> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let remedy = "install the package `ca-certificates`, or name the broker's own CA in `[broker] ca`";
        return Err((format!("the system has no root certificates{why}"), remedy.to_owned()));
    }
    Ok(roots)
}

/// The certificate that a client shows, with what leads to its CA, and its key.
///
/// # Errors
/// What is wrong with the files, and the remedy.
pub fn identity(certificate: &Path, key: &Path) -> Result<CertifiedKey, Wrong> {
    let chain = certificates(certificate)?;
    let private = private_key(key)?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => (
            format!("`{}` is not the key of the certificate `{}`", key.display(), certificate.display()),
            "name the two files that belong together; in `cert` the client's own certificate comes first".to_owned(),
        ),
        error => {
            let what = format!("`{}` and `{}` cannot be used: {error}", certificate.display(), key.display());
            (what, "RSA from 2048 bits, ECDSA P-256 and P-384, and Ed25519 can".to_owned())
        }
    })
}

/// All certificates of a file.
///
/// # Errors
/// What is wrong with the file, and the remedy.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let text = read(path)?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => {
            let path = path.display();
            let remedy = format!(
                "it must have `-----BEGIN CERTIFICATE-----`; a binary one becomes it by `openssl x509 -inform der -in \
                 {path} -out {path}.pem`"
            );
            Err((format!("`{path}` holds no certificate in PEM"), remedy))
        }
        Err(error) => Err(damaged(path, &error)),
    }
}

/// The private key of a file.
///
/// # Errors
/// What is wrong with the file, and the remedy.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Wrong> {
    let text = read(path)?;
    let path_shown = path.display();
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        // A traditional one says so within its PEM (`Proc-Type: 4,ENCRYPTED`), which is then no base64.
        Err(_) if text.windows(9).any(|window| window == b"ENCRYPTED") => {
            let remedy = format!(
                "nobody is there to type it: `openssl pkey -in {path_shown} -out {path_shown}.plain`, readable by Amber \
                 alone"
            );
            Err((format!("the key in `{path_shown}` is locked with a passphrase"), remedy))
        }
        Err(PemError::NoItemsFound) => {
            let remedy = "it must have `-----BEGIN PRIVATE KEY-----` (or `RSA`, `EC` before `PRIVATE`)";
            Err((format!("`{path_shown}` holds no private key in PEM"), remedy.to_owned()))
        }
        Err(error) => Err(damaged(path, &error)),
    }
}

fn damaged(path: &Path, error: &PemError) -> Wrong {
    (format!("`{}` is damaged PEM: {error}", path.display()), "write the file anew, whole".to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, Wrong> {
    std::fs::read(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "let the user that Amber runs as read it",
            _ => "mend the path, or put the file there",
        };
        (format!("`{}` cannot be read: {error}", path.display()), remedy.to_owned())
    })
}
