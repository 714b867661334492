//! Kinds of probes: the request, and the answer that counts as success.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipvs::Protocol;
use rustls_pki_types::ServerName;

use super::super::value::quoted;
use super::payload::Payload;
use crate::names::Name;

/// Maximum length of a path, bytes.
const MAX_PATH: usize = 256;

/// Maximum length of a host name, bytes (RFC 1035), with a port.
const MAX_HOST: usize = 260;

/// Maximum length of a gRPC service's name, bytes.
const MAX_SERVICE: usize = 256;

/// Maximum length of the name of an authority, bytes.
const MAX_AUTHORITY: usize = 63;

/// Value of `verify` for a server that is not verified.
const NOT_VERIFIED: &str = "none";

/// Kind of a probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// A TCP connection that is opened, and reset at once.
    Tcp,
    /// A request `GET` of HTTP/1.1.
    Http(HttpProbe),
    /// The same over TLS 1.2 or 1.3.
    Https(HttpsProbe),
    /// A call of `grpc.health.v1.Health/Check` over HTTP/2 without TLS.
    Grpc(GrpcProbe),
    /// One datagram, and one in answer.
    Udp(UdpProbe),
}

/// Request of an HTTP probe, and the expected answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpProbe {
    /// Header `Host`; `None` sends the address and port.
    pub host: Option<Name>,
    /// Path, with a query if any. Visible ASCII that begins with a slash.
    pub path: Name,
    /// First and last status that counts as success, 100 to 599.
    pub status: [u16; 2],
}

/// Request of an HTTPS probe, and the expected answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpsProbe {
    /// The request. Its host, without a port, is the server name in TLS: a DNS name or an address.
    pub http: HttpProbe,
    /// Verification of the server.
    pub verify: Verify,
}

/// Verification of a TLS server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verify {
    /// Any certificate is accepted, as by the kubelet's probes.
    Nothing,
    /// The certificate must be valid for the server name, and signed by the authority that
    /// `healthChecks.authorities` of the configuration gives this name.
    Authority(Name),
}

/// Request of a gRPC probe. `SERVING` is success.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrpcProbe {
    /// Name of the gRPC service; empty asks for the server as a whole.
    pub service: Name,
}

/// Datagram of a UDP probe, and the expected answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UdpProbe {
    /// Content of the datagram.
    pub send: Payload,
    /// Bytes with which the answer must begin; empty accepts every answer.
    pub expect: Payload,
}

impl ProbeKind {
    /// Names of the kinds.
    pub const NAMES: [&str; 5] = ["tcp", "http", "https", "grpc", "udp"];

    /// Returns the name in a policy.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let [tcp, http, https, grpc, udp] = Self::NAMES;
        match self {
            Self::Tcp => tcp,
            Self::Http(_) => http,
            Self::Https(_) => https,
            Self::Grpc(_) => grpc,
            Self::Udp(_) => udp,
        }
    }

    /// Returns the protocol that the probe uses.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
            Self::Tcp | Self::Http(_) | Self::Https(_) | Self::Grpc(_) => Protocol::Tcp,
        }
    }

    /// Returns the authority that the probe needs.
    #[must_use]
    pub fn authority(&self) -> Option<&Name> {
        match self {
            Self::Https(HttpsProbe {
                verify: Verify::Authority(name),
                ..
            }) => Some(name),
            _ => None,
        }
    }

    /// Keys of a check that this kind alone has, for messages.
    pub(super) fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &[],
            Self::Http(_) => &["host", "path", "status"],
            Self::Https(_) => &["host", "path", "status", "verify"],
            Self::Grpc(_) => &["service"],
            Self::Udp(_) => &["send", "expect"],
        }
    }

    /// Takes the kind and its keys from `pairs`.
    pub(super) fn take(pairs: &mut BTreeMap<&str, &str>) -> Result<Self, String> {
        Ok(match pairs.remove("type") {
            Some("tcp") => Self::Tcp,
            Some("http") => Self::Http(HttpProbe::take(pairs)?),
            Some("https") => Self::Https(HttpsProbe::take(pairs)?),
            Some("grpc") => Self::Grpc(GrpcProbe::take(pairs)?),
            Some("udp") => Self::Udp(UdpProbe {
                send: Payload::take("send", pairs)?,
                expect: Payload::take("expect", pairs)?,
            }),
            other => {
                let names = Self::NAMES.join(", ");
                return Err(match other {
                    Some(other) => format!("type: {} is none of {names}", quoted(other)),
                    None => format!("needs type=TYPE, one of {names}"),
                });
            }
        })
    }
}

/// Prints the kind as an annotation holds it: `type=http, path=/, status=200-399`.
impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type={}", self.name())?;
        match self {
            Self::Tcp => Ok(()),
            Self::Http(http) => write!(f, "{http}"),
            Self::Https(HttpsProbe { http, verify }) => match verify {
                Verify::Nothing => write!(f, "{http}, verify={NOT_VERIFIED}"),
                Verify::Authority(name) => write!(f, "{http}, verify={name}"),
            },
            Self::Grpc(GrpcProbe { service }) if service.is_empty() => Ok(()),
            Self::Grpc(GrpcProbe { service }) => write!(f, ", service={service}"),
            Self::Udp(UdpProbe { send, expect }) => {
                write!(f, ", send={send}, expect={expect}")
            }
        }
    }
}

/// Prints the keys after the type.
impl fmt::Display for HttpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, path, status } = self;
        if let Some(host) = host {
            write!(f, ", host={host}")?;
        }
        write!(f, ", path={path}, status={}-{}", status[0], status[1])
    }
}

impl HttpProbe {
    fn take(pairs: &mut BTreeMap<&str, &str>) -> Result<Self, String> {
        let path = pairs.remove("path").unwrap_or("/");
        if !path.starts_with('/')
            || !is_visible(path)
            || path.len() > MAX_PATH
            || path.contains('#')
        {
            return Err(format!(
                "path: {} is no path that begins with / and has at most {MAX_PATH} visible ASCII \
                 characters without #",
                quoted(path)
            ));
        }
        let host = pairs.remove("host");
        let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if let Some(host) = host
            && (host.is_empty() || host.len() > MAX_HOST || !host.bytes().all(in_host))
        {
            return Err(format!("host: {} is no name of a host", quoted(host)));
        }
        let status = pairs.remove("status").unwrap_or("200-399");
        let (first, last) = status.split_once('-').unwrap_or((status, status));
        let code = |text: &str| {
            let code = text.trim().parse().ok();
            code.filter(|code| (100..=599).contains(code))
        };
        let status = match (code(first), code(last)) {
            (Some(first), Some(last)) if first <= last => [first, last],
            _ => {
                return Err(format!(
                    "status: {} is no status such as 200 and no range such as 200-399",
                    quoted(status)
                ));
            }
        };
        Ok(Self {
            host: host.map(Name::from),
            path: path.into(),
            status,
        })
    }

    /// Returns the host without its port.
    fn host_name(&self) -> Option<&str> {
        let host = self.host.as_deref()?;
        let in_brackets = host.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        Some(match (in_brackets, host.split_once(':')) {
            (Some((address, _)), _) => address,
            // An IPv6 address has more than one colon.
            (None, Some((name, port))) if !port.contains(':') => name,
            _ => host,
        })
    }
}

impl HttpsProbe {
    /// Returns the server name in TLS for the endpoint at `address`: the host of the request, or
    /// the address. An address is verified but not sent (RFC 6066, section 3).
    #[must_use]
    pub fn server_name(&self, address: IpAddr) -> ServerName<'static> {
        let name = self.http.host_name();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        // A host that is no server name was refused when the probe was read.
        name.map_or_else(|| address.into(), |name| name.to_owned())
    }

    fn take(pairs: &mut BTreeMap<&str, &str>) -> Result<Self, String> {
        let http = HttpProbe::take(pairs)?;
        if let Some(name) = http.host_name()
            && ServerName::try_from(name).is_err()
        {
            return Err(format!(
                "host: {} is neither a DNS name nor an address",
                quoted(name)
            ));
        }
        let verify = match pairs.remove("verify") {
            None | Some(NOT_VERIFIED) => Verify::Nothing,
            Some(name) if is_authority_name(name) => Verify::Authority(name.into()),
            Some(other) => {
                return Err(format!(
                    "verify: {} is neither {NOT_VERIFIED} nor the name of an authority",
                    quoted(other)
                ));
            }
        };
        Ok(Self { http, verify })
    }
}

impl GrpcProbe {
    fn take(pairs: &mut BTreeMap<&str, &str>) -> Result<Self, String> {
        let service = pairs.remove("service").unwrap_or_default();
        match is_visible(service) && service.len() <= MAX_SERVICE {
            true => Ok(Self {
                service: service.into(),
            }),
            false => Err(format!(
                "service: {} is no name with at most {MAX_SERVICE} visible ASCII characters",
                quoted(service)
            )),
        }
    }
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns true if `text` can be the name of an authority: at most 63 letters, digits, `-`, `_` and
/// `.`, and not the word for no verification.
#[must_use]
pub fn is_authority_name(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_AUTHORITY).contains(&text.len()) && text != NOT_VERIFIED && text.bytes().all(may)
}
