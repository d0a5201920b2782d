//! The registration of a node by a quorum of the validators.

use serde::{Deserialize, Serialize};
use tokenim_consensus::ValidatorSet;
use tokenim_identity::{Node, NodeKey, NodeSigningKey, Signature, Statement};
use tokenim_wire::{BoundedString, BoundedVec, EncodeError, Label, NetworkId, limits};

use crate::Rejection;

/// A node's address in text.
pub type Address = BoundedString<{ limits::ADDRESS_BYTES_MAX }>;

/// What the node signs: that it wants to be registered so.
#[derive(Serialize)]
struct Consent<'a> {
    key: &'a NodeKey,
    address: &'a Address,
}

impl Statement for Consent<'_> {
    type Signer = Node;
    const LABEL: Label = Label::new("tokenim/node-consent/v1");
}

/// What a validator signs: that it admits the node.
#[derive(Serialize)]
struct NodeAdmission<'a> {
    key: &'a NodeKey,
    address: &'a Address,
}

impl Statement for NodeAdmission<'_> {
    type Signer = Node;
    const LABEL: Label = Label::new("tokenim/node-admission/v1");
}

/// One validator's signature under a node's admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The validator's place in the validator set.
    pub validator: u16,
    /// Its signature.
    pub signature: Signature,
}

/// Registers a node: signed by the node, and by a quorum of the validators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRegistration {
    /// The node.
    pub key: NodeKey,
    /// Where it is reached.
    pub address: Address,
    /// The node's signature under `"tokenim/node-consent/v1"` over key ‖ address.
    pub consent: Signature,
    /// Signatures under `"tokenim/node-admission/v1"` over key ‖ address, by ascending place of the validator.
    pub admissions: BoundedVec<Admission, { limits::VALIDATORS_MAX }>,
}

impl NodeRegistration {
    /// A registration that no validator has admitted yet.
    ///
    /// # Errors
    /// [`EncodeError`] if the statement has no encoding.
    pub fn new(network: &NetworkId, node: &NodeSigningKey, address: Address) -> Result<Self, EncodeError> {
        let key = node.verifying_key();
        let consent = node.sign(
            network,
            &Consent {
                key: &key,
                address: &address,
            },
        )?;
        Ok(Self {
            key,
            address,
            consent,
            admissions: BoundedVec::empty(),
        })
    }

    /// A validator's admission of this node.
    ///
    /// # Errors
    /// [`EncodeError`] if the statement has no encoding.
    pub fn admission(&self, network: &NetworkId, place: u16, key: &NodeSigningKey) -> Result<Admission, EncodeError> {
        let signature = key.sign(
            network,
            &NodeAdmission {
                key: &self.key,
                address: &self.address,
            },
        )?;
        Ok(Admission {
            validator: place,
            signature,
        })
    }

    /// Adds a validator's admission in its place; one that is there already is replaced.
    ///
    /// # Errors
    /// [`Rejection::Admission`] when there would be more than `VALIDATORS_MAX`.
    pub fn admit(&mut self, admission: Admission) -> Result<(), Rejection> {
        let mut all = core::mem::take(&mut self.admissions).into_inner();
        all.retain(|other| other.validator != admission.validator);
        all.push(admission);
        all.sort_unstable_by_key(|other| other.validator);
        self.admissions = BoundedVec::try_from(all).map_err(|_| Rejection::Admission)?;
        Ok(())
    }

    /// Checks the node's consent and that a quorum of `validators` admits it, all by ZIP-215.
    ///
    /// # Errors
    /// [`Rejection::Consent`], [`Rejection::Admission`] or [`Rejection::NotAdmitted`].
    pub fn verify(&self, network: &NetworkId, validators: &ValidatorSet) -> Result<(), Rejection> {
        if self.address.is_empty() {
            return Err(Rejection::Consent);
        }
        // Cheap refusals first: every signature costs.
        let mut pairs = self.admissions.iter().zip(self.admissions.iter().skip(1));
        if pairs.any(|(before, after)| before.validator >= after.validator) {
            return Err(Rejection::Admission);
        }
        if self.admissions.len() < validators.quorum() {
            return Err(Rejection::NotAdmitted);
        }
        let consent = Consent {
            key: &self.key,
            address: &self.address,
        };
        self.key
            .verify_zip215(network, &consent, &self.consent)
            .map_err(|_| Rejection::Consent)?;
        let statement = NodeAdmission {
            key: &self.key,
            address: &self.address,
        };
        for admission in &self.admissions {
            validators
                .get(admission.validator)
                .ok_or(Rejection::Admission)?
                .key
                .verify_zip215(network, &statement, &admission.signature)
                .map_err(|_| Rejection::Admission)?;
        }
        Ok(())
    }
}
