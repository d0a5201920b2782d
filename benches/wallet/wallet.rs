//! Benches of `tokenim-wallet`: verification by family, and the check of an opening.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tokenim_wallet::{Account, Opening, WalletSignature, verify};
use tokenim_wire::{Object, hex};

/// Name, signature as its wallet wrote it, and opening of every link of the vectors.
fn links() -> Vec<(String, String, Opening)> {
    let file = include_str!("../../crates/wallet/tests/vectors/links.json");
    let vectors: serde_json::Value = serde_json::from_str(file).unwrap_or_default();
    let text = |link: &serde_json::Value, field: &str| link.get(field)?.as_str().map(String::from);
    let links = vectors.get("links").and_then(|links| links.as_array());
    links
        .into_iter()
        .flatten()
        .filter_map(|link| {
            let opening = Opening::from_bytes(&hex::decode(&text(link, "opening")?)?).ok()?;
            Some((text(link, "name")?, text(link, "signature")?, opening))
        })
        .collect()
}

fn families(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wallet/verify");
    for (name, text, opening) in links() {
        let measured = [
            "evm",
            "tron",
            "bitcoin_p2pkh",
            "bitcoin_p2wpkh",
            "bitcoin_p2tr",
            "solana",
            "aptos",
            "polkadot_ed25519",
            "polkadot_sr25519",
            "antelope",
        ];
        let statement = opening.statement();
        let Ok(signature) = WalletSignature::parse(statement.account(), &text) else {
            continue;
        };
        if measured.contains(&name.as_str()) && verify(statement, &signature).is_ok() {
            group.bench_function(name, |bencher| {
                bencher.iter(|| verify(black_box(statement), black_box(&signature)));
            });
        }
    }
    group.finish();
}

fn opening(criterion: &mut Criterion) {
    let Some((_, _, opening)) = links().into_iter().next() else {
        return;
    };
    let (Ok(bytes), Ok(commitment)) = (opening.to_bytes(), opening.commitment()) else {
        return;
    };
    let statement = opening.statement();
    let (network, identity) = (*statement.network(), *statement.identity());
    let mut group = criterion.benchmark_group("wallet/opening");
    group.bench_function("decode", |bencher| {
        bencher.iter(|| Opening::from_bytes(black_box(&bytes)));
    });
    group.bench_function("verify", |bencher| {
        bencher.iter(|| black_box(&opening).verify(&network, &identity, &[commitment]));
    });
    group.bench_function("account", |bencher| {
        let text = statement.account().to_string();
        bencher.iter(|| black_box(text.as_str()).parse::<Account>());
    });
    group.finish();
}

criterion_group!(benches, families, opening);
criterion_main!(benches);
