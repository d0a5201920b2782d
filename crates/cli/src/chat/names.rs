//! What the owner calls people.

use std::collections::HashMap;

use tokenim_client::step::name::ContactName;
use tokenim_client::{Client, ClientError, IdentityId};

use super::text::Shown;
use crate::output::short;

/// Everybody who has a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names(HashMap<IdentityId, (ContactName, Shown)>);

impl Names {
    /// As the client keeps them.
    pub(crate) fn read(client: &Client) -> Result<Self, ClientError> {
        Ok(client.contact_names()?.into_iter().collect())
    }

    /// The name of somebody who has one.
    pub(crate) fn get(&self, identity: &IdentityId) -> Option<&str> {
        self.0.get(identity).map(|(_, shown)| shown.as_str())
    }

    /// The name of somebody, or the beginning of their identity.
    pub(crate) fn called(&self, identity: &IdentityId) -> String {
        self.get(identity).map_or_else(|| short(identity), str::to_owned)
    }

    /// The identity, after the name if there is one: where something is decided.
    pub(crate) fn whole(&self, identity: &IdentityId) -> String {
        match self.get(identity) {
            Some(name) => format!("{name} ({identity})"),
            None => identity.to_string(),
        }
    }

    /// Who is called so.
    pub(super) fn find(&self, text: &str) -> Option<IdentityId> {
        let found = self.0.iter().find(|(_, (name, _))| name.is(text));
        found.map(|(identity, _)| *identity)
    }
}

impl FromIterator<(IdentityId, ContactName)> for Names {
    fn from_iter<T: IntoIterator<Item = (IdentityId, ContactName)>>(names: T) -> Self {
        let shown = |(identity, name): (IdentityId, ContactName)| {
            let shown = Shown::line(name.as_str());
            (identity, (name, shown))
        };
        Self(names.into_iter().map(shown).collect())
    }
}
