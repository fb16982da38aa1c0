//! Certificates made for a test, and a client that speaks TLS with them.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow_collector::{TlsClients, TlsIdentity};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

/// What carries messages over TLS.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// An issuer of certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one, that nobody knows.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "flowcap test authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate with these subject alternative names, and a common name.
    pub fn issue(&self, names: &[&str], common_name: &str) -> Credentials {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names and addresses");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Credentials { certificate, key: key.serialize_pem() }
    }

    /// Writes the files of a collector on loopback that takes exporters of this
    /// authority, one of `peers` where there are any.
    pub fn identity(&self, directory: &Path, peers: &[&str]) -> TlsIdentity {
        let [certificate, key, issuers] = ["us.pem", "us.key", "ca.pem"].map(|name| directory.join(name));
        write_credentials(&self.issue(&["127.0.0.1"], "collector"), &certificate, &key);
        std::fs::write(&issuers, &self.pem).expect("a file");
        let peers = peers.iter().map(ToString::to_string).collect();
        TlsIdentity { certificate, key, clients: TlsClients::Authenticated { issuers, peers } }
    }

    /// A client that trusts this authority alone.
    pub fn client(
        &self,
        credentials: Option<&Credentials>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsClient {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.pem.as_bytes()) {
            roots.add(certificate.expect("PEM")).expect("a root");
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions there are")
            .with_root_certificates(roots);
        let config = match credentials {
            None => config.with_no_client_auth(),
            Some(Credentials { certificate, key }) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
                config.with_client_auth_cert(chain, key).expect("a certificate and its key")
            }
        };
        TlsClient(Arc::new(config))
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes a certificate and its key to files.
pub fn write_credentials(credentials: &Credentials, certificate: &PathBuf, key: &PathBuf) {
    std::fs::write(certificate, &credentials.certificate).expect("a file");
    std::fs::write(key, &credentials.key).expect("a file");
}

/// Speaks TLS as one exporter does.
#[derive(Debug, Clone)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// Connects and completes the handshake, as far as the client sees it: over
    /// TLS 1.3 a refusal comes after that.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<TlsStream> {
        let name = ServerName::from(addr.ip());
        let connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, TcpStream::connect(addr)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}
