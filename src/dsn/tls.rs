//! How far a server is believed: certificates, authorities, and what of them each `sslmode` asks for.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::{fs, io};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{DsnError, wrong};

pub(super) fn certificates_in(parameter: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, DsnError> {
    let text = fs::read(path).map_err(|error| DsnError::File(parameter, error.kind()))?;
    match CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => wrong(parameter, "names a file without certificates in PEM"),
    }
}

pub(super) fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, DsnError> {
    let unreadable = |error: io::Error| DsnError::File("sslkey", error.kind());
    let file = fs::metadata(path).map_err(unreadable)?;
    // As libpq: root's key may be read by a group, for secrets are mounted so.
    if file.mode() & if file.uid() == 0 { 0o037 } else { 0o077 } != 0 {
        return wrong("sslkey", "names a file that others may use: chmod 600");
    }
    PrivateKeyDer::from_pem_slice(&fs::read(path).map_err(unreadable)?)
        .map_err(|_| DsnError::Parameter("sslkey", "names a file without an unencrypted private key in PEM"))
}

/// For connections without TLS: should one be made after all, it believes no server.
pub(super) fn no_tls() -> MakeRustlsConnect {
    let nobody = Authorities { roots: RootCertStore::empty(), named: Vec::new(), check_name: true };
    MakeRustlsConnect::new(client_config(Some(nobody)).with_no_client_auth())
}

/// The provider is named, so that nothing depends on which part of the process installs a default first.
pub(super) fn client_config(authorities: Option<Authorities>) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let verifier = Verifier { authorities, algorithms: provider.signature_verification_algorithms };
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("invariant: aws-lc-rs speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
}

/// Who may say that a server is the one it says it is.
#[derive(Debug)]
pub(super) struct Authorities {
    pub(super) roots: RootCertStore,
    /// The same as certificates, where an operator chose them one by one.
    pub(super) named: Vec<CertificateDer<'static>>,
    pub(super) check_name: bool,
}

impl Authorities {
    pub(super) fn of(root: Option<&str>, check_name: bool) -> Result<Self, DsnError> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = root.filter(|root| *root != "system") {
            let named = certificates_in("sslrootcert", path)?;
            return match roots.add_parsable_certificates(named.iter().cloned()) {
                (_, 0) => Ok(Self { roots, named, check_name }),
                _ => wrong("sslrootcert", "names a file with a certificate that cannot be used"),
            };
        }
        // Threat: the system's sign for whoever owns any name, so that a chain without the name would prove nothing.
        match roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs) {
            (0, _) => wrong("sslrootcert", "is needed: this system has no certificate authorities"),
            _ => Ok(Self { roots, named: Vec::new(), check_name: true }),
        }
    }
}

/// Believes servers as far as `sslmode` asks. That the server has the key of the certificate it shows, the handshake's
/// signature, is checked in every mode: channel binding rests on it.
#[derive(Debug)]
struct Verifier {
    /// None: any certificate will do.
    authorities: Option<Authorities>,
    algorithms: WebPkiSupportedAlgorithms,
}

type Signature = Result<HandshakeSignatureValid, rustls::Error>;
impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(Authorities { roots, named, check_name }) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(certificate)?;
        match verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, self.algorithms.all) {
            // `openssl req -x509` makes a server's certificate that calls itself an authority, which webpki takes from
            // no server. Named in sslrootcert it is trusted all the same; an expired one is another error than this.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_))) if named.contains(certificate) => {}
            outcome => outcome?,
        }
        if *check_name {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, text: &[u8], by: &CertificateDer<'_>, with: &DigitallySignedStruct) -> Signature {
        crypto::verify_tls12_signature(text, by, with, &self.algorithms)
    }

    fn verify_tls13_signature(&self, text: &[u8], by: &CertificateDer<'_>, with: &DigitallySignedStruct) -> Signature {
        crypto::verify_tls13_signature(text, by, with, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
