//! What of MLS is accepted here: whose leaves, which proposals, which extensions.

use crate::{
    CONTEXT_EXTENSION_TYPE, CREDENTIAL_TYPE, CertificateError, Forbidden, LeafCertificate, SessionError, SessionSuite,
    SignedLeafCertificate,
};
use core::fmt;
use mls_rs::{
    MlsRules,
    client_builder::PaddingMode,
    error::IntoAnyError,
    group::{GroupContext, Roster},
    mls_rules::{CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle},
};
use mls_rs_core::{
    extension::{Extension, ExtensionList, ExtensionType},
    identity::{Credential, CredentialType, IdentityProvider, MemberValidationContext, SigningIdentity},
    time::MlsTime,
};
use std::sync::{Arc, Mutex, PoisonError};
use tokenim_wire::{
    NetworkId, Object,
    limits::{GROUP_CONTEXT_BYTES_MAX, SESSION_LEAVES_MAX},
};

/// Why [`Authority`] or [`Rules`] refused last: the library carries no cause.
#[derive(Clone, Default)]
pub(crate) struct Why(Arc<Mutex<Option<SessionError>>>);

impl Why {
    pub(crate) fn take(&self) -> Option<SessionError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn refuse<T>(&self, result: Result<T, SessionError>) -> Result<T, Refused> {
        result.map_err(|error| {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Refused
        })
    }
}

/// The cause is in [`Why`].
pub(crate) struct Refused;

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refused")
    }
}

impl IntoAnyError for Refused {}

/// Checks leaf certificates, without a clock and without the ledger.
#[derive(Clone)]
pub(crate) struct Authority {
    pub(crate) network: NetworkId,
    pub(crate) suite: SessionSuite,
    pub(crate) why: Why,
}

impl Authority {
    fn check(&self, leaf: &SigningIdentity) -> Result<LeafCertificate, SessionError> {
        let credential = credential(leaf)?;
        let key = leaf.signature_key.as_bytes();
        Ok(SignedLeafCertificate::check(
            &self.network,
            self.suite,
            key,
            credential,
        )?)
    }
}

fn credential(leaf: &SigningIdentity) -> Result<&[u8], CertificateError> {
    match &leaf.credential {
        Credential::Custom(custom) if custom.credential_type.raw_value() == CREDENTIAL_TYPE => Ok(custom.data()),
        _ => Err(CertificateError::Type),
    }
}

/// The certificate of a leaf that was checked when it came in.
pub(crate) fn certificate(leaf: &SigningIdentity) -> Result<LeafCertificate, CertificateError> {
    Ok(SignedLeafCertificate::from_bytes(credential(leaf)?)?.certificate)
}

impl IdentityProvider for Authority {
    type Error = Refused;

    fn validate_member(
        &self,
        signing_identity: &SigningIdentity,
        _timestamp: Option<MlsTime>,
        _context: MemberValidationContext<'_>,
    ) -> Result<(), Refused> {
        self.why.refuse(self.check(signing_identity).map(|_| ()))
    }

    fn validate_external_sender(
        &self,
        _signing_identity: &SigningIdentity,
        _timestamp: Option<MlsTime>,
        _extensions: Option<&ExtensionList>,
    ) -> Result<(), Refused> {
        self.why.refuse(Err(Forbidden::InTheClear.into()))
    }

    /// A device is in a session once.
    fn identity(&self, signing_identity: &SigningIdentity, _extensions: &ExtensionList) -> Result<Vec<u8>, Refused> {
        let certificate = self
            .why
            .refuse(certificate(signing_identity).map_err(SessionError::from))?;
        let mut name = certificate.identity.to_bytes().to_vec();
        name.extend_from_slice(certificate.device.as_bytes());
        Ok(name)
    }

    fn valid_successor(
        &self,
        predecessor: &SigningIdentity,
        successor: &SigningIdentity,
        _extensions: &ExtensionList,
    ) -> Result<bool, Refused> {
        let same = certificate(predecessor)
            .and_then(|before| Ok((before, certificate(successor)?)))
            .map(|(before, after)| before.identity == after.identity && before.device == after.device);
        match same {
            Ok(true) => Ok(true),
            Ok(false) => self.why.refuse(Err(CertificateError::Successor.into())),
            Err(error) => self.why.refuse(Err(error.into())),
        }
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::new(CREDENTIAL_TYPE)]
    }
}

/// What every member has to know, as `required_capabilities` (RFC 9420, section 11.1): the extension and the credential.
const REQUIRED: [u8; 7] = [2, 0xf0, 0xa2, 0, 2, 0xf0, 0xa3];

/// The extensions of a group with this context.
pub(crate) fn extensions(context: &[u8]) -> ExtensionList {
    let ours = ExtensionType::new(CONTEXT_EXTENSION_TYPE);
    vec![
        Extension::new(ExtensionType::REQUIRED_CAPABILITIES, REQUIRED.to_vec()),
        Extension::new(ours, context.to_vec()),
    ]
    .into()
}

/// Checks that the extensions of a group are these two and nothing else, and gives the session's context.
pub(crate) fn context(extensions: &ExtensionList) -> Result<&[u8], Forbidden> {
    let find = |kind| extensions.iter().find(|extension| extension.extension_type == kind);
    let required = find(ExtensionType::REQUIRED_CAPABILITIES).is_some_and(|one| one.extension_data == REQUIRED);
    match find(ExtensionType::new(CONTEXT_EXTENSION_TYPE)) {
        Some(ours) if required && extensions.len() == 2 && ours.extension_data.len() <= GROUP_CONTEXT_BYTES_MAX => {
            Ok(&ours.extension_data)
        }
        _ => Err(Forbidden::Extension),
    }
}

/// The kinds of commits that there are here.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) why: Why,
}

fn check_proposals(source: &CommitSource, roster: &Roster<'_>, proposals: &ProposalBundle) -> Result<(), Forbidden> {
    if !matches!(source, CommitSource::ExistingMember(_)) {
        return Err(Forbidden::InTheClear);
    }
    if !proposals.reinit_proposals().is_empty() || !proposals.external_init_proposals().is_empty() {
        return Err(Forbidden::Proposal);
    }
    for proposal in proposals.group_context_ext_proposals() {
        context(&proposal.proposal)?;
    }
    let after = roster
        .members_iter()
        .count()
        .saturating_add(proposals.add_proposals().len())
        .saturating_sub(proposals.remove_proposals().len());
    if after > SESSION_LEAVES_MAX {
        return Err(Forbidden::TooMany);
    }
    Ok(())
}

impl MlsRules for Rules {
    type Error = Refused;

    fn filter_proposals(
        &self,
        _direction: CommitDirection,
        source: CommitSource,
        current_roster: &Roster<'_>,
        _current_context: &GroupContext,
        proposals: ProposalBundle,
    ) -> Result<ProposalBundle, Refused> {
        let checked = check_proposals(&source, current_roster, &proposals);
        self.why.refuse(checked.map_err(SessionError::from))?;
        Ok(proposals)
    }

    /// Each commit renews the keys of who makes it; the tree goes with the Welcome; nobody joins from outside.
    fn commit_options(
        &self,
        _new_roster: &Roster<'_>,
        _new_context: &GroupContext,
        _proposals: &ProposalBundle,
    ) -> Result<CommitOptions, Refused> {
        Ok(CommitOptions::new()
            .with_path_required(true)
            .with_ratchet_tree_extension(true)
            .with_single_welcome_message(true)
            .with_allow_external_commit(false))
    }

    /// Commits are encrypted too. Padding is the business of what is sent.
    fn encryption_options(
        &self,
        _current_roster: &Roster<'_>,
        _current_context: &GroupContext,
    ) -> Result<EncryptionOptions, Refused> {
        Ok(EncryptionOptions::new(true, PaddingMode::None))
    }
}
