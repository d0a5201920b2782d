//! Round trips and invariants.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code
)]

mod common;

use common::replayed::Replayed;
use common::{account, link, list, text, vectors};
use proptest::prelude::*;
use tokenim_identity::IdentityId;
use tokenim_wallet::{Account, LinkStatement, NONCE_BYTES, Opening, WalletSignature, verify};
use tokenim_wire::{NetworkId, Object, UnixSeconds, hex};

/// Accounts of every family, from random bytes where any bytes are an account.
fn accounts() -> impl Strategy<Value = Account> {
    let fixed: Vec<Account> = list(&vectors("links.json")["links"]).iter().map(account).collect();
    prop_oneof![
        prop::sample::select(fixed),
        (1..=u64::MAX, any::<[u8; 20]>()).prop_map(|(chain, address)| format!(
            "eip155:{chain}:0x{}",
            hex::encode(&address)
        )
        .parse()
        .unwrap()),
        (1..=u8::MAX, any::<[u8; 32]>()).prop_map(|(chain, address)| format!(
            "aptos:{chain}:0x{}",
            hex::encode(&address)
        )
        .parse()
        .unwrap()),
        (any::<[u8; 16]>(), "[a-z1-5][a-z1-5.]{0,10}[a-z1-5]").prop_map(|(chain, name)| format!(
            "antelope:{}:{name}",
            hex::encode(&chain)
        )
        .parse()
        .unwrap()),
    ]
}

fn statements() -> impl Strategy<Value = LinkStatement> {
    let ids = (any::<[u8; 32]>(), any::<[u8; 32]>());
    (ids, accounts(), any::<[u8; NONCE_BYTES]>(), 0..=253_402_300_799_u64).prop_map(
        |((network, identity), account, nonce, issued)| {
            let (network, identity) = (NetworkId::from_bytes(network), IdentityId::from_bytes(identity));
            LinkStatement::from_parts(network, identity, account, nonce, UnixSeconds::new(issued)).unwrap()
        },
    )
}

proptest! {
    #[test]
    fn an_account_is_its_text(account in accounts()) {
        prop_assert_eq!(account.to_string().parse::<Account>(), Ok(account));
    }

    #[test]
    fn a_mistyped_checksum_is_noticed(place in 0_usize..40, name in prop::sample::select(vec!["evm", "evm_polygon"])) {
        let account = link(name).0.account().to_string();
        let place = account.len() - 40 + place;
        let mut bytes = account.clone().into_bytes();
        bytes[place] ^= 0x20;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(changed.parse::<Account>().is_err(), "{}", changed);
    }

    #[test]
    fn texts_differ_where_statements_do(one in statements(), other in statements()) {
        prop_assert_eq!(one == other, one.text() == other.text());
        let text = one.text();
        prop_assert!(text.is_ascii() && text.len() < 512, "{}", text.len());
    }

    #[test]
    fn texts_for_antelope_have_short_words(statement in statements()) {
        let text = statement.text();
        if statement.account().chain_id().starts_with("antelope") {
            prop_assert!(text.split(' ').all(|word| word.len() <= 12) && !text.contains('\n'));
            let unbroken = text.replace(' ', "");
            for part in [statement.identity().to_string(), statement.network().to_string()] {
                prop_assert!(unbroken.contains(&part));
            }
        }
    }

    #[test]
    fn a_changed_bit_links_nothing(
        (case, place) in (0_usize..32, any::<prop::sample::Index>())
    ) {
        let vectors = vectors("links.json");
        let cases = list(&vectors["links"]);
        let name = text(&cases[case % cases.len()], "name");
        let (statement, signature) = link(name);
        let Ok(link) = verify(&statement, &signature) else {
            return Ok(()); // sr25519 without its feature
        };
        let opening = Opening::new(&link, &mut Replayed(vec![7; 32]));
        let links = [opening.commitment().unwrap()];
        let mut bytes = opening.to_bytes().unwrap();
        let bit = place.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = Opening::from_bytes(&bytes) {
            prop_assert!(changed.verify(statement.network(), statement.identity(), &links).is_err());
            // Committed to all the same, it shows nothing either: nothing but the salt is without meaning.
            let links = [changed.commitment().unwrap()];
            let judged = changed.verify(statement.network(), statement.identity(), &links);
            prop_assert_eq!(judged.is_ok(), (8..8 * 33).contains(&bit), "{} {}", name, bit);
        }
    }

    #[test]
    fn openings_cut_anywhere_are_refused(case in 0_usize..32, place in any::<prop::sample::Index>()) {
        let vectors = vectors("links.json");
        let cases = list(&vectors["links"]);
        let opening = common::bytes(&cases[case % cases.len()], "opening");
        prop_assert!(Opening::from_bytes(&opening[..place.index(opening.len())]).is_err());
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = text.parse::<Account>();
        for name in ["evm", "tron", "bitcoin_p2pkh", "bitcoin_p2tr", "solana", "aptos", "polkadot_ed25519", "antelope"] {
            let _ = WalletSignature::parse(link(name).0.account(), &text);
        }
    }
}
