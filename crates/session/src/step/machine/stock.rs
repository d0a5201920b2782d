//! The key packages of this device.

use super::{super::record::PackageRow, *};
use crate::{SessionSuite, mls::key_package};
use tokenim_mailbox::KeyPackage;
use tokenim_wire::{
    BoundedBytes, BoundedVec,
    limits::{KEY_PACKAGES_MAX, SESSION_PACKAGE_LIFETIME_SECONDS, SESSION_PACKAGE_REUSE_SECONDS, SESSION_STOCK},
};

/// Packages that are good for less than this are replaced, in seconds: a week.
const STALE_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Seconds between two publications of the stock: nodes take one a minute.
const LOOK_SECONDS: u64 = 60;

/// Whether the package of a row was used: more than its reference stands there.
pub(super) fn is_used(row: &[u8]) -> bool {
    row.len() > 32
}

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// Fills the stock up when half of it is used or old, or some of it was used a while ago, and has it published.
    pub(super) fn look_after_stock(&mut self) -> Step<(), V> {
        let lately = self
            .meta
            .published
            .is_some_and(|at| self.lately(at, LOOK_SECONDS.saturating_mul(1000)));
        let now = self.now.to_seconds();
        let mut stock: Vec<(SessionSuite, UnixSeconds, KeyPackage)> = Vec::new();
        let mut used = Vec::new();
        for (place, row) in self.tx.objects::<PackageRow>(Table::Package, &[])? {
            if row.expires <= now {
                self.tx.delete(Table::Package, &place);
            } else if is_used(&place) {
                used.push((place, row));
            } else if row.stock {
                stock.push((row.suite, row.expires, row.package.clone()));
            }
        }
        // Of too many those go that were used first.
        used.sort_unstable_by_key(|(_, row)| row.expires);
        for (place, _) in used.drain(..used.len().saturating_sub(KEY_PACKAGES_MAX)) {
            self.tx.delete(Table::Package, &place);
        }
        used.retain(|(_, row)| row.stock);
        let soon = now.saturating_add(SESSION_PACKAGE_REUSE_SECONDS / 2);
        let outworn = used.first().is_some_and(|(_, row)| row.expires <= soon);
        let fresh = |stock: &[(SessionSuite, UnixSeconds, KeyPackage)], suite| {
            let good = stock
                .iter()
                .filter(|(of, expires, _)| *of == suite && *expires > now.saturating_add(STALE_SECONDS));
            good.count()
        };
        let low = SessionSuite::ALL
            .iter()
            .any(|suite| fresh(&stock, *suite) < SESSION_STOCK.div_ceil(2));
        if !(low || outworn) || (lately && !stock.is_empty()) {
            return Ok(());
        }
        for (place, mut row) in used {
            row.stock = false;
            self.tx.put_object(Table::Package, &place, &row)?;
        }
        for suite in SessionSuite::ALL {
            while fresh(&stock, suite) < SESSION_STOCK {
                let (package, expires) = self.new_package(suite, true)?;
                stock.push((suite, expires, package));
            }
        }
        // The newest ones, if there is no room for all.
        stock.sort_by_key(|(_, expires, _)| core::cmp::Reverse(*expires));
        let packages = stock.into_iter().map(|(.., package)| package).take(KEY_PACKAGES_MAX);
        let packages = BoundedVec::try_from_iter(packages).map_err(|_| StepError::Full("key packages"))?;
        self.effect(Work::Publish(packages), Purpose::Nothing)?;
        self.meta.published = Some(self.now);
        Ok(())
    }

    /// A session was joined with a key package. One of the stock opens others for a while: nodes that have no new one left hand
    /// it out again.
    pub(super) fn use_up(&mut self, place: &[u8]) -> Step<(), V> {
        let row = self.tx.object::<PackageRow>(Table::Package, place)?;
        if let Some(mut row) = row.filter(|_| !is_used(place)) {
            self.tx.delete(Table::Package, place);
            let until = self.now.to_seconds().saturating_add(SESSION_PACKAGE_REUSE_SECONDS);
            row.expires = row.expires.min(until);
            if row.stock {
                self.tx.put_object(Table::Package, &key(&[place, &[1]]), &row)?;
            }
        }
        Ok(())
    }

    /// A key package for a request, one that no request has been answered with.
    pub(super) fn package_for_request(&mut self, suite: SessionSuite) -> Step<KeyPackage, V> {
        let stale = self.now.to_seconds().saturating_add(STALE_SECONDS);
        for (_, row) in self.tx.objects::<PackageRow>(Table::Package, &[])? {
            if !row.stock && row.suite == suite && row.expires > stale {
                return Ok(row.package.clone());
            }
        }
        Ok(self.new_package(suite, false)?.0)
    }

    fn new_package(&mut self, suite: SessionSuite, stock: bool) -> Step<(KeyPackage, UnixSeconds), V> {
        let now = self.now.to_seconds();
        let lifetime = SESSION_PACKAGE_LIFETIME_SECONDS;
        let made = key_package(self.owner, suite, now, lifetime, self.rng).map_err(StepError::Session)?;
        let package =
            KeyPackage::try_from(made.package.as_slice()).map_err(|_| StepError::Full("bytes of a key package"))?;
        let expires = now.saturating_add(lifetime);
        let row = PackageRow {
            package: package.clone(),
            secrets: BoundedBytes::try_from(made.secrets.as_slice())
                .map_err(|_| StepError::Full("bytes of a key package"))?,
            suite,
            expires,
            stock,
        };
        self.tx.put_object(Table::Package, &made.reference, &row)?;
        Ok((package, expires))
    }
}
