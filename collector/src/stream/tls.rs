//! Who this collector is over TLS, and who may come (RFC 7011 §11.1 and §11.3).
//!
//! rustls speaks TLS 1.2 and 1.3, with suites that encrypt and authenticate, and
//! nothing older. Peers are named by subject alternative names of their
//! certificates; the common name, which the RFC asks for, is not looked at
//! (RFC 9525 §2).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::TlsAcceptor;

use super::{End, TlsClients, TlsIdentity};

/// Certificates or keys that can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read `{path}`: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}` holds no {what}")]
    Empty { path: PathBuf, what: &'static str },
    #[error("`{path}` is not PEM: {source}")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("`{key}` is not the key of the certificate in `{certificate}`")]
    KeyMismatch { key: PathBuf, certificate: PathBuf },
    #[error("`{path}` can't be used: {reason}")]
    Unusable { path: PathBuf, reason: String },
    #[error("`{name}` is neither a host name nor an address")]
    PeerName { name: String },
}

impl TlsError {
    /// What to do about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "the file must exist and be readable by the user flowcapd runs as",
            Self::Empty { .. } | Self::Pem { .. } => {
                "files are PEM: text between `-----BEGIN` and `-----END` lines"
            }
            Self::KeyMismatch { .. } => "`--tls-cert` and `--tls-key` must come from the same request",
            Self::Unusable { .. } => {
                "`--tls-cert` is this collector's certificate, `--tls-ca` that of the issuer of the exporters'"
            }
            Self::PeerName { .. } => {
                "`--tls-peer` takes a DNS name or an address, as the certificate's subject alternative name has it"
            }
        }
    }
}

/// An identity as read from its files, and as they were then.
pub(crate) struct Identity {
    files: TlsIdentity,
    stamps: Vec<Stamp>,
    acceptor: TlsAcceptor,
}

/// What tells one content of a file from another: when it changed, its length.
type Stamp = Option<(SystemTime, u64)>;

impl Identity {
    /// Reads the files.
    pub(crate) fn load(files: TlsIdentity) -> Result<Self, TlsError> {
        // Before they are read: a change in between is then a change.
        let stamps = stamps(&files);
        let acceptor = acceptor(&files)?;
        Ok(Self { files, stamps, acceptor })
    }

    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Reads the files again if they have changed, or those that are named in any
    /// case. What can't be used leaves things as they are. Returns whether there is
    /// something new.
    pub(crate) fn reload(&mut self, files: Option<TlsIdentity>) -> Result<bool, TlsError> {
        let is_named = files.is_some();
        let files = files.unwrap_or_else(|| self.files.clone());
        let stamps = stamps(&files);
        if !is_named && stamps == self.stamps {
            return Ok(false);
        }
        // Said once, not at every look.
        self.stamps.clone_from(&stamps);
        let acceptor = acceptor(&files)?;
        *self = Self { files, stamps, acceptor };
        Ok(true)
    }
}

fn stamps(files: &TlsIdentity) -> Vec<Stamp> {
    let issuers = match &files.clients {
        TlsClients::Authenticated { issuers, .. } => Some(issuers),
        TlsClients::Anyone => None,
    };
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [Some(&files.certificate), Some(&files.key), issuers].into_iter().flatten().map(stamp).collect()
}

fn acceptor(files: &TlsIdentity) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| pem_error(&files.key, "private key", source))?;
    let unusable = |path: &Path, reason: &dyn std::fmt::Display| TlsError::Unusable {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&files.certificate, &error))?;
    let builder = match &files.clients {
        TlsClients::Anyone => builder.with_no_client_auth(),
        TlsClients::Authenticated { issuers, peers } => {
            let verifier = PeerVerifier::new(issuers, peers, provider)?;
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::KeyMismatch { key: files.key.clone(), certificate: files.certificate.clone() }
        }
        error => unusable(&files.certificate, &error),
    })?;
    // Connections last: nothing is won by resuming one, and every one is verified anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |source| pem_error(path, "certificate", source);
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(error)?.collect::<Result<_, _>>().map_err(error)?;
    if found.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned(), what: "certificate" });
    }
    Ok(found)
}

fn pem_error(path: &Path, what: &'static str, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Read { path, source },
        pem::Error::NoItemsFound => TlsError::Empty { path, what },
        source => TlsError::Pem { path, source },
    }
}

/// A name by which a peer may be authorised.
pub(crate) fn peer_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::PeerName { name: name.to_owned() })
}

/// Verifies the certificate of a peer, then that it names one who is authorised.
#[derive(Debug)]
struct PeerVerifier {
    issuers: Arc<dyn ClientCertVerifier>,
    peers: Vec<ServerName<'static>>,
}

impl PeerVerifier {
    fn new(issuers: &Path, peers: &[String], provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let peers = peers.iter().map(|name| peer_name(name)).collect::<Result<_, _>>()?;
        let unusable = |reason: String| TlsError::Unusable { path: issuers.to_owned(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(issuers)? {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let issuers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { issuers, peers })
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.issuers.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.issuers.verify_client_cert(certificate, intermediates, now)?;
        if self.peers.is_empty() {
            return Ok(verified);
        }
        let certificate = ParsedCertificate::try_from(certificate)?;
        // Names are matched the same way at either end.
        let mut refused = CertificateError::NotValidForName.into();
        for name in &self.peers {
            match verify_server_name(&certificate, name) {
                Ok(()) => return Ok(verified),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issuers.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.issuers.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issuers.supported_verify_schemes()
    }
}

/// Why a handshake failed.
pub(crate) fn end_of_handshake(error: &io::Error) -> End {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match error {
        Some(rustls::Error::NoCertificatesPresented) => End::NoCertificate,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => End::NotAuthorised,
        Some(rustls::Error::InvalidCertificate(_)) => End::BadCertificate,
        _ => End::Handshake,
    }
}
