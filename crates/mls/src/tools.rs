//! The library's client, set up for one step; and what its refusals mean.

use crate::{
    CONTEXT_EXTENSION_TYPE, CertificateError, Forbidden, SessionError, SessionSuite,
    authority::{Authority, Rules, Why},
    crypto::{Crypto, Generator, SuiteCrypto},
    store::{Packages, Store},
};
use core::time::Duration;
use mls_rs::{
    Client,
    client_builder::{
        BaseConfig, ClientBuilder, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider, WithKeyPackageRepo,
        WithMlsRules,
    },
    error::MlsError,
};
use mls_rs_core::{
    crypto::{CipherSuite, SignatureSecretKey},
    extension::ExtensionType,
    identity::SigningIdentity,
};
use rand_core::CryptoRng;
use std::sync::{Arc, Mutex, PoisonError};
use tokenim_wire::NetworkId;

/// The library's configuration, as a type.
pub(crate) type Config = WithCryptoProvider<
    Crypto,
    WithMlsRules<
        Rules,
        WithIdentityProvider<Authority, WithGroupStateStorage<Store, WithKeyPackageRepo<Packages, BaseConfig>>>,
    >,
>;

/// What the copies of a group share: the place where a step puts its randomness and finds the cause of a refusal. So
/// they take turns.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) network: NetworkId,
    pub(crate) suite: SessionSuite,
    generator: Generator,
    why: Why,
    turn: Arc<Mutex<()>>,
}

impl Tools {
    pub(crate) fn new(network: NetworkId, suite: SessionSuite) -> Self {
        Self {
            network,
            suite,
            generator: Generator::default(),
            why: Why::default(),
            turn: Arc::default(),
        }
    }

    pub(crate) fn cipher_suite(&self) -> CipherSuite {
        CipherSuite::new(self.suite.number())
    }

    pub(crate) fn crypto(&self) -> SuiteCrypto {
        SuiteCrypto {
            suite: self.suite,
            generator: self.generator.clone(),
        }
    }

    /// A client that signs with this leaf key, named so if it is to make leaves.
    pub(crate) fn client(
        &self,
        signer: SignatureSecretKey,
        identity: Option<SigningIdentity>,
        lifetime: Duration,
        store: Store,
        packages: Packages,
    ) -> Client<Config> {
        let builder = ClientBuilder::new()
            .key_package_repo(packages)
            .group_state_storage(store)
            .identity_provider(Authority {
                network: self.network,
                suite: self.suite,
                why: self.why.clone(),
            })
            .mls_rules(Rules { why: self.why.clone() })
            .crypto_provider(Crypto {
                generator: self.generator.clone(),
            })
            .extension_type(ExtensionType::new(CONTEXT_EXTENSION_TYPE))
            .key_package_lifetime(lifetime);
        match identity {
            Some(identity) => builder.signing_identity(identity, signer, self.cipher_suite()).build(),
            None => builder.signer(signer).build(),
        }
    }

    /// Does something that draws no randomness.
    pub(crate) fn run<T>(&self, job: impl FnOnce() -> Result<T, MlsError>) -> Result<T, SessionError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.why.take();
        self.generator.take_shut_out();
        job().map_err(|error| {
            let path = self.generator.take_shut_out().then_some(SessionError::Path);
            self.why.take().or(path).unwrap_or_else(|| refusal(&error))
        })
    }

    /// Does something that opens a message, and tells how many steps the ratchet of its author made.
    pub(crate) fn ratchet<T>(&self, job: impl FnOnce() -> Result<T, MlsError>) -> Result<(T, u32), SessionError> {
        self.run(|| {
            self.generator.take_steps();
            let done = job()?;
            Ok((done, self.generator.take_steps()))
        })
    }

    /// Does something that draws randomness.
    pub(crate) fn draw<T>(
        &self,
        rng: &mut (impl CryptoRng + ?Sized),
        job: impl FnOnce() -> Result<T, MlsError>,
    ) -> Result<T, SessionError> {
        self.run(|| {
            self.generator.seed(rng);
            let done = job();
            self.generator.clear();
            done
        })
    }
}

/// What a refusal of the library means.
fn refusal(error: &MlsError) -> SessionError {
    match error {
        MlsError::SerializationError(_)
        | MlsError::ExtensionError(_)
        | MlsError::UnexpectedMessageType
        | MlsError::UnsupportedProtocolVersion(_)
        | MlsError::ProtocolVersionMismatch
        | MlsError::InvalidTreeIndex
        | MlsError::InvalidNodeIndex(_)
        | MlsError::RatchetTreeNotFound
        | MlsError::InvalidWelcomeMessage
        | MlsError::InvalidGroupInfo => SessionError::Malformed,
        MlsError::UnsupportedCipherSuite(_) | MlsError::CipherSuiteMismatch => SessionError::Suite,
        MlsError::GroupIdMismatch => SessionError::Session,
        // The library does not say which; who asked knows.
        MlsError::EpochNotFound | MlsError::InvalidEpoch => SessionError::Epoch { found: 0, current: 0 },
        MlsError::KeyMissing(_) => SessionError::Replayed,
        MlsError::InvalidFutureGeneration(_) => SessionError::TooFarAhead,
        MlsError::CantProcessMessageFromSelf => SessionError::Own,
        MlsError::MemberNotFound | MlsError::LeafNotFound(_) | MlsError::InvalidLeafConsumption => {
            SessionError::NotAMember
        }
        MlsError::InvalidLifetime { .. } => CertificateError::Expired.into(),
        MlsError::WelcomeKeyPackageNotFound => SessionError::NotForUs,
        MlsError::InvalidSignature
        | MlsError::InvalidConfirmationTag
        | MlsError::InvalidMembershipTag
        | MlsError::CryptoProviderError(_)
        | MlsError::TreeHashMismatch
        | MlsError::ParentHashMismatch
        | MlsError::UnmergedLeavesMismatch
        | MlsError::WrongPathLen
        | MlsError::UnexpectedEmptyTree
        | MlsError::UnexpectedTrailingBlanks
        | MlsError::ExpectedNode
        | MlsError::UnexpectedEmptyNode => SessionError::Forged,
        MlsError::PubKeyMismatch | MlsError::LcaNotFoundInDirectPath => SessionError::Path,
        MlsError::UpdateErrorNoSecretKey => SessionError::NoKey,
        MlsError::GroupNotFound
        | MlsError::GroupStorageError(_)
        | MlsError::KeyPackageRepoError(_)
        | MlsError::PskStoreError(_)
        | MlsError::InvalidTreeKemPrivateKey
        | MlsError::SignerNotFound
        | MlsError::ExistingPendingCommit
        | MlsError::PendingCommitNotFound
        | MlsError::ExporterDeleted => SessionError::State,
        // What is left are rules of MLS that a genuine message breaks.
        _ => Forbidden::Rule.into(),
    }
}
