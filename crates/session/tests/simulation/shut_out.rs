//! A commit that some members can follow and others can't.

use crate::world::{
    World, below,
    villain::{all, expiry, inside, update},
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokenim_mailbox::group::GroupEntryId;
use tokenim_session::step::ConversationId;
use tokenim_wire::UnixMillis;

/// Puts a good commit onto the ledger whose path some members can't open, if there are others.
pub fn shut_out(world: &mut World, at: usize, conversation: ConversationId) -> Option<GroupEntryId> {
    let inside = inside(world, at, conversation)?;
    if inside.group.leaves().len() < 3 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let now = UnixMillis::new(world.now).to_seconds();
    let which = below(&mut rng, 2) as u32;
    let commit = inside.group.commit_shutting_out(&update(), which, now, &mut rng);
    let made = inside.made(commit.unwrap());
    let envelope = inside.keys.wrap(&made.stored, expiry(now), &mut rng).unwrap();
    let (next, own) = (made.next.verifying_key(), inside.group.own());
    let child = inside.child(&made.promised, next, envelope.id(), own, &mut rng);
    let receipt = world.nodes.put(child.tag, envelope.as_bytes(), expiry(now), &all())?;
    Some(inside.submit(world, child, vec![receipt]))
}
