//! The configuration file.

use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// What an operator decides about a node. Read from TOML; [`Config::template`] explains every key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Section `[network]`.
    pub network: NetworkSection,
    /// Section `[http]`.
    pub http: HttpSection,
    /// Section `[roles]`.
    pub roles: RolesSection,
    /// Section `[storage]`.
    pub storage: StorageSection,
    /// Section `[limits]`.
    pub limits: LimitsSection,
    /// Section `[timing]`.
    pub timing: TimingSection,
    /// Section `[log]`.
    pub log: LogSection,
}

/// Where clients and nodes reach this node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSection {
    /// Address and UDP port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Where the operator reaches this node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Whether `/health` and `/metrics` are served.
    pub enabled: bool,
    /// Address and TCP port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// What this node does for others. Being a validator is not a choice: the network decides it by the node's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolesSection {
    /// Keep envelopes.
    pub storage: bool,
    /// Sponsor records and anchor receipts for clients.
    pub gateway: bool,
}

/// How much it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSection {
    /// Bytes of envelopes.
    pub bytes_max: u64,
    /// Mebibytes of memory for the store's cache.
    pub cache_mib: u32,
}

/// What it grants to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// Connections of clients at one time.
    pub connections_max: u32,
    /// Streams at one time on one connection.
    pub streams_per_connection_max: u32,
    /// Requests per second on one connection, in the long run.
    pub requests_per_second: u32,
    /// Requests on one connection at once.
    pub requests_burst: u32,
    /// Records that one client may have sponsored per minute, in the long run.
    pub submissions_per_minute: u32,
    /// Records that one client may have sponsored at once.
    pub submissions_burst: u32,
    /// Milliseconds in which a request must have arrived, and its answer be taken.
    pub request_timeout_ms: u32,
}

/// When it does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingSection {
    /// Milliseconds after which an idle leader proposes an empty block.
    pub heartbeat_ms: u32,
    /// Milliseconds between two anchor transactions of this node.
    pub anchor_interval_ms: u32,
    /// Milliseconds between two questions to a peer about changed mailboxes.
    pub repair_interval_ms: u32,
    /// Milliseconds that an envelope may be missing here before it is fetched.
    pub repair_grace_ms: u32,
    /// Seconds between two removals of expired envelopes.
    pub expiry_interval_seconds: u32,
    /// Milliseconds without a final block after which the node says that the network makes no progress.
    pub stalled_after_ms: u32,
    /// Milliseconds that requests under way get when the node stops.
    pub drain_ms: u32,
}

/// What it writes to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// `error`, `warn`, `info`, `debug`, or a filter such as `info,tokenim_node=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for NetworkSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
        }
    }
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 7480)),
        }
    }
}

impl Default for RolesSection {
    fn default() -> Self {
        Self {
            storage: true,
            gateway: true,
        }
    }
}

impl Default for StorageSection {
    fn default() -> Self {
        Self {
            bytes_max: 16 << 30,
            cache_mib: 64,
        }
    }
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            streams_per_connection_max: 256,
            requests_per_second: 500,
            requests_burst: 1000,
            submissions_per_minute: 30,
            submissions_burst: 10,
            request_timeout_ms: 10_000,
        }
    }
}

impl Default for TimingSection {
    fn default() -> Self {
        Self {
            heartbeat_ms: 500,
            anchor_interval_ms: 2000,
            repair_interval_ms: 2000,
            repair_grace_ms: 3000,
            expiry_interval_seconds: 60,
            stalled_after_ms: 5000,
            drain_ms: 3000,
        }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Text,
        }
    }
}

#[expect(clippy::derivable_impls, reason = "the sections' defaults are spelled out above")]
impl Default for Config {
    fn default() -> Self {
        Self {
            network: NetworkSection::default(),
            http: HttpSection::default(),
            roles: RolesSection::default(),
            storage: StorageSection::default(),
            limits: LimitsSection::default(),
            timing: TimingSection::default(),
            log: LogSection::default(),
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not TOML, or has a key or value that there is not.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A value that can't work.
    #[error("{key} = {value} can't work: {reason}")]
    Value {
        /// The key with its section.
        key: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}

impl Config {
    /// Reads and checks a configuration; keys that are left out have their defaults.
    ///
    /// # Errors
    /// [`ConfigError`], in one line.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().lines().next().unwrap_or("not TOML").to_owned(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first one that can't work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let at_least: [(&'static str, u32, u32); 11] = [
            ("limits.connections_max", self.limits.connections_max, 8),
            (
                "limits.streams_per_connection_max",
                self.limits.streams_per_connection_max,
                16,
            ),
            ("limits.requests_per_second", self.limits.requests_per_second, 1),
            ("limits.requests_burst", self.limits.requests_burst, 1),
            ("limits.submissions_per_minute", self.limits.submissions_per_minute, 1),
            ("limits.submissions_burst", self.limits.submissions_burst, 1),
            ("limits.request_timeout_ms", self.limits.request_timeout_ms, 100),
            ("timing.anchor_interval_ms", self.timing.anchor_interval_ms, 2000),
            ("timing.repair_interval_ms", self.timing.repair_interval_ms, 100),
            ("timing.expiry_interval_seconds", self.timing.expiry_interval_seconds, 1),
            ("storage.cache_mib", self.storage.cache_mib, 1),
        ];
        for (key, value, least) in at_least {
            if value < least {
                return Err(ConfigError::Value {
                    key,
                    value: value.to_string(),
                    reason: "it is below the least value that is named in the template",
                });
            }
        }
        if !(10..=800).contains(&self.timing.heartbeat_ms) {
            return Err(ConfigError::Value {
                key: "timing.heartbeat_ms",
                value: self.timing.heartbeat_ms.to_string(),
                reason: "it must lie between 10 and 800, below the leader timeout of one second",
            });
        }
        if self.timing.stalled_after_ms < self.timing.heartbeat_ms.saturating_mul(2) {
            return Err(ConfigError::Value {
                key: "timing.stalled_after_ms",
                value: self.timing.stalled_after_ms.to_string(),
                reason: "it must be at least two heartbeats",
            });
        }
        Ok(())
    }

    /// The text of a configuration file with every key, its meaning and its default.
    #[must_use]
    pub const fn template() -> &'static str {
        TEMPLATE
    }

    /// The template with other addresses.
    #[must_use]
    pub fn template_for(listen: SocketAddr, http: Option<SocketAddr>) -> String {
        let default = Self::default();
        let mut text = TEMPLATE.replacen(
            &format!("listen = \"{}\"", default.network.listen),
            &format!("listen = \"{listen}\""),
            1,
        );
        match http {
            Some(http) => {
                text = text.replacen(
                    &format!("listen = \"{}\"", default.http.listen),
                    &format!("listen = \"{http}\""),
                    1,
                );
            }
            None => text = text.replacen("enabled = true", "enabled = false", 1),
        }
        text
    }
}

impl TimingSection {
    /// [`heartbeat_ms`](Self::heartbeat_ms) as a duration.
    pub(crate) const fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms as u64)
    }

    /// [`anchor_interval_ms`](Self::anchor_interval_ms) as a duration.
    pub(crate) const fn anchor_interval(&self) -> Duration {
        Duration::from_millis(self.anchor_interval_ms as u64)
    }

    /// [`repair_interval_ms`](Self::repair_interval_ms) as a duration.
    pub(crate) const fn repair_interval(&self) -> Duration {
        Duration::from_millis(self.repair_interval_ms as u64)
    }

    /// [`repair_grace_ms`](Self::repair_grace_ms) as a duration.
    pub(crate) const fn repair_grace(&self) -> Duration {
        Duration::from_millis(self.repair_grace_ms as u64)
    }

    /// [`expiry_interval_seconds`](Self::expiry_interval_seconds) as a duration.
    pub(crate) const fn expiry_interval(&self) -> Duration {
        Duration::from_secs(self.expiry_interval_seconds as u64)
    }

    /// [`stalled_after_ms`](Self::stalled_after_ms) as a duration.
    pub(crate) const fn stalled_after(&self) -> Duration {
        Duration::from_millis(self.stalled_after_ms as u64)
    }

    /// [`drain_ms`](Self::drain_ms) as a duration.
    pub(crate) const fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms as u64)
    }
}

impl LimitsSection {
    /// [`request_timeout_ms`](Self::request_timeout_ms) as a duration.
    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms as u64)
    }
}

/// The line, counted from 1, of a byte of a text.
fn line_of(text: &str, byte: usize) -> usize {
    text.bytes()
        .take(byte)
        .filter(|byte| *byte == b'\n')
        .count()
        .saturating_add(1)
}

/// Every key with its default, commented.
const TEMPLATE: &str = r#"# Configuration of a TokenIM node. Every key is here with its default; a key that is left out keeps it,
# and a key that does not exist is refused.

[network]
# Address and UDP port on which clients and other nodes reach this node, over QUIC. It must be the one that the
# network knows for this node's key, or be forwarded from it. Port 0 takes a free port.
listen = "127.0.0.1:7400"

[http]
# Whether to serve /health (JSON) and /metrics (Prometheus).
enabled = true
# Their address and TCP port. They tell nothing secret, but are not protected: keep them on the loopback interface, or
# behind something that is. Port 0 takes a free port.
listen = "127.0.0.1:7480"

[roles]
# Keep envelopes for the mailboxes that fall to this node. A node of the set that does not is as good as dead to them.
storage = true
# Sponsor the records of clients and anchor their receipts.
gateway = true

[storage]
# Bytes of envelopes that this node keeps at most; beyond it, new ones are refused until others expire.
bytes_max = 17179869184
# Mebibytes of memory for the cache of the store (at least 1).
cache_mib = 64

[limits]
# Connections of clients at one time (at least 8); newcomers beyond it are refused. Those with other nodes come on top.
connections_max = 1024
# Streams, and so requests, at one time on one connection (at least 16).
streams_per_connection_max = 256
# Requests per second on one connection in the long run, and at once.
requests_per_second = 500
requests_burst = 1000
# Records per minute that one client may have sponsored in the long run, and at once.
submissions_per_minute = 30
submissions_burst = 10
# Milliseconds in which a request must have arrived, and in which its answer must be taken (at least 100). Whoever is
# slower is cut off.
request_timeout_ms = 10000

[timing]
# Milliseconds after which an idle leader proposes an empty block (10 to 800). All validators should have the same.
heartbeat_ms = 500
# Milliseconds between two anchor transactions of this node (at least 2000); the first goes out at once.
anchor_interval_ms = 2000
# Milliseconds between two questions to a peer about changed mailboxes (at least 100).
repair_interval_ms = 2000
# Milliseconds that an envelope may be missing here before it is fetched from another node.
repair_grace_ms = 3000
# Seconds between two removals of expired envelopes (at least 1).
expiry_interval_seconds = 60
# Milliseconds without a final block after which /health says "not-progressing" (at least two heartbeats).
stalled_after_ms = 5000
# Milliseconds that requests under way get to finish when the node stops.
drain_ms = 3000

[log]
# error, warn, info, debug, or a filter such as "info,tokenim_node=debug".
level = "info"
# text, or json for one object a line.
format = "text"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_default() {
        assert_eq!(Config::parse(Config::template()), Ok(Config::default()));
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }

    #[test]
    fn every_key_of_the_template_is_commented() {
        let mut commented = false;
        for line in TEMPLATE.lines() {
            if line.starts_with('#') {
                commented = true;
            } else if line.is_empty() || line.starts_with('[') {
                commented = false;
            } else {
                assert!(commented, "{line} has no comment");
            }
        }
    }

    #[test]
    fn the_template_takes_other_addresses() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 1));
        let http = SocketAddr::from(([127, 0, 0, 1], 2));
        let config = Config::parse(&Config::template_for(listen, Some(http))).unwrap();
        assert_eq!((config.network.listen, config.http.listen), (listen, http));
        assert!(!Config::parse(&Config::template_for(listen, None)).unwrap().http.enabled);
    }

    #[test]
    fn a_typo_is_named_with_its_line() {
        let error = Config::parse("[network]\n\nlissten = \"127.0.0.1:1\"\n").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("line 3: unknown field `lissten`"), "{text}");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_wrong_type_is_named_with_its_line() {
        let text = Config::parse("[limits]\nconnections_max = \"many\"\n")
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("line 2: "), "{text}");
    }

    #[test]
    fn values_that_can_not_work_are_refused() {
        for text in [
            "[limits]\nconnections_max = 0",
            "[timing]\nheartbeat_ms = 1000",
            "[timing]\nanchor_interval_ms = 100",
            "[timing]\nstalled_after_ms = 600",
        ] {
            assert!(matches!(Config::parse(text), Err(ConfigError::Value { .. })), "{text}");
        }
    }
}
