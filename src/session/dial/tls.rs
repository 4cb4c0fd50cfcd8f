//! TLS by rustls: what is trusted and shown, read from its files at every connect; and what a failure means, in words.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{DialError, Transport, is_end};
use crate::config::{Broker, Tls, Wrong, certificates};

/// The handshake over a stream to `host`.
pub(super) async fn connect<S: Transport>(stream: S, host: &str, broker: &Broker) -> Result<TlsStream<S>, DialError> {
    let tls = broker.tls.clone();
    // Files may be slow, and the system's roots are many.
    let config = tokio::task::spawn_blocking(move || client_config(&tls)).await;
    let config = config
        .map_err(|error| DialError::Ended(error.to_string()))?
        .map_err(|(what, remedy)| DialError::Unfit(format!("{what}; {remedy}")))?;
    let name = ServerName::try_from(name(host, &broker.tls).to_owned())
        .map_err(|error| DialError::Unfit(format!("{error}; set `[broker] server_name`")))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| {
        if let Some(text) = refusal(&error, broker) {
            DialError::Unfit(text)
        } else if is_end(&error) {
            let text = "it ends the connection in the TLS handshake; if this is its port without TLS, leave the `s` out of \
                        the scheme in `[broker] url`, or name its port for TLS";
            DialError::Ended(text.to_owned())
        } else {
            DialError::Unreachable(error)
        }
    })
}

fn name<'a>(host: &'a str, tls: &'a Tls) -> &'a str {
    tls.server_name.as_deref().unwrap_or(host)
}

fn client_config(tls: &Tls) -> Result<ClientConfig, Wrong> {
    let provider = certificates::provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| (error.to_string(), String::new()))?;
    let builder = if tls.verify {
        let roots = tls.ca.as_deref().map_or_else(certificates::system_roots, certificates::roots)?;
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    };
    let mut config = match &tls.identity {
        Some((certificate, key)) => {
            let identity = certificates::identity(certificate, key)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// What TLS has against this connection, and what to do; `None` if it is something else. With TLS 1.3 a broker that
/// refuses our certificate says so only after the handshake.
pub(in crate::session) fn refusal(error: &io::Error, broker: &Broker) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(wrong) => certificate(wrong, broker),
        Error::AlertReceived(alert) => self::alert(*alert, broker),
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => {
            "it does not answer in TLS; leave the `s` out of the scheme in `[broker] url`, or name its port for TLS"
                .to_owned()
        }
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => old(),
        Error::NoApplicationProtocol => protocol(),
        error => format!("TLS fails: {error}; look at the broker's log"),
    })
}

fn certificate(wrong: &CertificateError, broker: &Broker) -> String {
    let tls = &broker.tls;
    match wrong {
        CertificateError::UnknownIssuer => match &tls.ca {
            Some(ca) => format!(
                "the broker's certificate does not come from a CA in `{}`; name the certificate of its CA in `[broker] ca`",
                ca.display()
            ),
            None => "the broker's certificate comes from a CA that this system does not trust; name the certificate of \
                     its CA in `[broker] ca`"
                .to_owned(),
        },
        CertificateError::NotValidForName => "the broker's certificate is for another name; set `[broker] server_name` \
                                              to the name that it bears"
            .to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            if presented.is_empty() {
                return format!(
                    "the broker's certificate names nobody in its subjectAltName, and a common name does not count; have \
                     it made anew with `subjectAltName = DNS:{expected}` (`IP:` for an address)"
                );
            }
            format!(
                "the broker's certificate is not for `{expected}` but for {}; write such a name in `[broker] url`, or set \
                 `server_name` to it",
                presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
            )
        }
        CertificateError::Expired => "the broker's certificate has expired; renew it".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the broker's certificate expired at {}; renew it (or is the clock of this machine wrong?)",
            moment(*not_after)
        ),
        CertificateError::NotValidYet => "the broker's certificate is not valid yet; look at the clocks".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the broker's certificate is valid from {} only; is the clock of this machine right?",
            moment(*not_before)
        ),
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the broker shows the certificate of a CA as its own; have one made for the broker that is signed by that CA"
                .to_owned()
        }
        other if format!("{other:?}").contains("UnsupportedCertVersion") => {
            "the broker's certificate is of version 1, without subjectAltName; have it made anew with extensions (version 3)"
                .to_owned()
        }
        other => format!("the broker's certificate does not hold: {other}; have it made anew"),
    }
}

/// `DnsName("broker.lan")` → `broker.lan`
fn bare(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    format!("`{}`", inner.trim_matches('"'))
}

fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()).map_or_else(String::new, |at| at.to_string())
}

/// The broker's last word.
fn alert(alert: AlertDescription, broker: &Broker) -> String {
    use AlertDescription as Alert;
    match (&broker.tls.identity, alert) {
        (_, Alert::NoApplicationProtocol) => protocol(),
        (_, Alert::ProtocolVersion) => old(),
        (_, Alert::UnrecognisedName) => {
            "the broker does not know the name that it is called by; set `[broker] server_name`".to_owned()
        }
        (None, Alert::CertificateRequired | Alert::HandshakeFailure | Alert::BadCertificate | Alert::AccessDenied) => {
            format!("the broker demands a client certificate ({alert:?}); set `[broker] cert` and `key`")
        }
        (Some((certificate, _)), Alert::CertificateExpired) => {
            format!("the broker says that our certificate `{}` has expired; renew it", certificate.display())
        }
        (Some((certificate, _)), alert) => format!(
            "the broker refuses our certificate `{}` ({alert:?}); name one in `[broker] cert` that comes from a CA which \
             the broker trusts",
            certificate.display()
        ),
        (None, alert) => format!("the broker ends TLS by the alert `{alert:?}`; look at its log"),
    }
}

fn old() -> String {
    "the broker speaks neither TLS 1.2 nor 1.3; older versions are not safe: update it".to_owned()
}

fn protocol() -> String {
    "the broker does not speak the protocol of `[broker] alpn`; leave that out, or look up the name that it wants"
        .to_owned()
}

/// Takes every certificate, for `verify = false`. Signatures are verified all the same: it is the one that was shown.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
