// Writes the vectors of this folder: node generate.mjs, from a folder in which these packages are installed:
//   npm install ethers@6.17.0 siwe@3.0.0 tronweb@6.5.1 bip322-js@3.0.0 @solana/web3.js@2.0.0 @aptos-labs/ts-sdk@6.3.1 \
//     @polkadot/keyring@14.0.3 @polkadot/util-crypto@14.0.3 @wharfkit/antelope@1.2.0
//   NODE_PATH=node_modules node …/tests/vectors/generate.mjs
// Every signature is made by the library of its chain; names, texts and encodings are written here again, by the
// specification. The sr25519 and Taproot signatures are random by design: those of the links are kept from run to run.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const packages = createRequire(join(process.cwd(), "package.json"));
const load = async (name) => {
  try {
    return packages(name);
  } catch {
    return import(pathToFileURL(packages.resolve(name)).href);
  }
};
const ethers = await load("ethers");
const { SiweMessage } = await load("siwe");
const { TronWeb, utils: tron } = await load("tronweb");
const { Signer } = await load("bip322-js");
const bitcoin = await load("bitcoinjs-lib");
const { ECPairFactory } = await load("ecpair");
const bitcoinMessage = await load("bitcoinjs-message");
const secp = (await load("@bitcoinerlab/secp256k1")).default ?? (await load("@bitcoinerlab/secp256k1"));
const solana = await load("@solana/web3.js");
const aptos = await load("@aptos-labs/ts-sdk");
const { Keyring } = await load("@polkadot/keyring");
const { cryptoWaitReady, base58Decode, base58Encode, blake2AsU8a } = await load("@polkadot/util-crypto");
const { u8aWrapBytes } = await load("@polkadot/util");
const antelope = await load("@wharfkit/antelope");

const folder = dirname(fileURLToPath(import.meta.url));
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const unhex = (text) => Buffer.from(text.replace(/^0x/, ""), "hex");
const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest();
const seed = (name) => sha256(`tokenim wallet vector ${name}`);
await cryptoWaitReady();
bitcoin.initEccLib(secp);
const ECPair = (ECPairFactory ?? (await load("ecpair")).default)(secp);

// Bech32m, BIP-350, for the names of identities.
function identityText(bytes) {
  const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
  const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
  const polymod = (values) =>
    values.reduce((sum, value) => {
      const top = sum >>> 25;
      sum = ((sum & 0x1ffffff) << 5) ^ value;
      generators.forEach((generator, bit) => (sum ^= (top >>> bit) & 1 ? generator : 0));
      return sum;
    }, 1);
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  bits = bits.padEnd(Math.ceil(bits.length / 5) * 5, "0");
  const data = bits.match(/.{5}/g).map((five) => parseInt(five, 2));
  const prefix = [..."tim"].map((c) => c.charCodeAt(0));
  const expanded = [...prefix.map((c) => c >> 5), 0, ...prefix.map((c) => c & 31)];
  const check = polymod([...expanded, ...data, 0, 0, 0, 0, 0, 0]) ^ 0x2bc830a3;
  const checksum = [0, 1, 2, 3, 4, 5].map((place) => (check >>> (5 * (5 - place))) & 31);
  return "tim1" + [...data, ...checksum].map((value) => charset[value]).join("");
}

// Statements and openings.
const NETWORK = seed("network");
const IDENTITY = seed("identity");
const ECOSYSTEMS = {
  eip155: "Ethereum", tron: "TRON", bip122: "Bitcoin", solana: "Solana", aptos: "Aptos", antelope: "Antelope",
};
const SENTENCE = "Link this account to the TokenIM identity below. Sign only if that identity is yours.";

function statementOf(account, name, changes = {}) {
  return {
    network: hex(NETWORK),
    identity: identityText(IDENTITY),
    account,
    nonce: hex(seed(`nonce ${name}`).subarray(0, 16)),
    issued: 1_790_000_000 + name.length * 86_399,
    ...changes,
  };
}

function textOf(statement) {
  const [namespace, reference, address] = statement.account.split(":");
  const kusama = reference === "b0a8d493285c2df73290dfb7e61f870f";
  const ecosystem = ECOSYSTEMS[namespace] ?? (kusama ? "Kusama" : "Polkadot");
  const uri = `tokenim:${statement.identity}?network=${statement.network}`;
  const issuedAt = new Date(statement.issued * 1000).toISOString().replace(".000Z", "Z");
  const text = [
    `tokenim wants you to sign in with your ${ecosystem} account:`, address, "", SENTENCE, "", `URI: ${uri}`,
    "Version: 1", `Chain ID: ${reference}`, `Nonce: ${statement.nonce}`, `Issued At: ${issuedAt}`,
  ].join("\n");
  if (namespace === "eip155") {
    const message = new SiweMessage({
      domain: "tokenim", address, statement: SENTENCE, uri, version: "1", chainId: Number(reference),
      nonce: statement.nonce, issuedAt,
    });
    if (message.prepareMessage() !== text) throw new Error("not as siwe writes it");
    if (new SiweMessage(text).uri !== uri) throw new Error("not EIP-4361");
  }
  if (namespace === "antelope") {
    return text.replaceAll("\n", " ").split(" ").map((word) => word.match(/.{1,12}/g)?.join(" ") ?? "").join(" ");
  }
  return text;
}

function varint(number) {
  const out = [];
  for (let rest = BigInt(number); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...out, Number(rest)]);
    out.push(Number(rest & 127n) | 128);
  }
}
const sized = (bytes) => Buffer.concat([varint(bytes.length), Buffer.from(bytes)]);

function identityBytes(text) {
  if (text === identityText(IDENTITY)) return IDENTITY;
  if (text === identityText(seed("other identity"))) return seed("other identity");
  throw new Error(text);
}

function encodeStatement(statement) {
  return Buffer.concat([
    unhex(statement.network), identityBytes(statement.identity), sized(Buffer.from(statement.account)),
    unhex(statement.nonce), varint(statement.issued),
  ]);
}

function openingOf(statement, signature, salt) {
  return Buffer.concat([Buffer.from([1]), salt, encodeStatement(statement), signature]);
}

const LABEL = "tokenim/account-link/v1";
const commitmentOf = (opening) => sha256([LABEL.length], LABEL, opening.subarray(1));

// Wallets: each gives an account and signs a text in its own way. `encode` is the signature in an opening.
const variant = (number, ...parts) => Buffer.concat([varint(number), ...parts.map((part) => Buffer.from(part))]);
const wallets = {};

function evm(name, chain) {
  const key = new ethers.SigningKey(seed(name));
  const account = `eip155:${chain}:${ethers.computeAddress(key)}`;
  const wallet = new ethers.Wallet(key);
  const encode = (text) => variant(0, unhex(text));
  return { account, key, encode, sign: (text) => wallet.signMessageSync(text) };
}
wallets.evm = evm("evm", 1);
wallets.evm_polygon = evm("evm polygon", 137);
wallets.evm_zora = evm("evm zora", 7777777);

function tronWallet(name, chain) {
  const key = hex(seed(name));
  const account = `tron:${chain}:${TronWeb.address.fromPrivateKey(key)}`;
  return { account, key, encode: (text) => variant(1, unhex(text)), sign: (text) => tron.message.signMessage(text, key) };
}
wallets.tron = tronWallet("tron", "0x2b6653dc");
wallets.tron_nile = tronWallet("tron nile", "0xcd8690dc");

const MAIN = "000000000019d6689c085ae165831e93";
function bitcoinWallet(name, reference, network, payment, compressed = true) {
  const pair = ECPair.fromPrivateKey(seed(name), { compressed, network });
  const pubkey = Buffer.from(pair.publicKey);
  const parts = payment === "p2tr" ? { internalPubkey: pubkey.subarray(1), network } : { pubkey, network };
  const { address } = bitcoin.payments[payment](parts);
  const account = `bip122:${reference}:${address}`;
  const sign = (text) => {
    if (payment !== "p2pkh") return `smp${Signer.sign(pair.toWIF(), address, text)}`;
    return Buffer.from(bitcoinMessage.sign(text, Buffer.from(pair.privateKey), compressed)).toString("base64");
  };
  const encode = (text) =>
    payment === "p2pkh" ? variant(2, Buffer.from(text, "base64")) : variant(3, sized(Buffer.from(text.slice(3), "base64")));
  return { account, pair, address, encode, sign };
}
const { bitcoin: main, testnet, regtest } = bitcoin.networks;
wallets.bitcoin_p2pkh = bitcoinWallet("p2pkh", MAIN, main, "p2pkh");
wallets.bitcoin_p2pkh_uncompressed = bitcoinWallet("p2pkh uncompressed", MAIN, main, "p2pkh", false);
wallets.bitcoin_p2wpkh = bitcoinWallet("p2wpkh", MAIN, main, "p2wpkh");
wallets.bitcoin_p2tr = bitcoinWallet("p2tr", MAIN, main, "p2tr");
wallets.bitcoin_testnet3_p2pkh = bitcoinWallet("testnet3", "000000000933ea01ad0ee984209779ba", testnet, "p2pkh");
wallets.bitcoin_testnet4_p2tr = bitcoinWallet("testnet4", "00000000da84f2bafbbc53dee25a72ae", testnet, "p2tr");
wallets.bitcoin_signet_p2wpkh = bitcoinWallet("signet", "00000008819873e925422c1ff0f99f7c", testnet, "p2wpkh");
wallets.bitcoin_regtest_p2wpkh = bitcoinWallet("regtest", "0f9188f13cb7b2c71f2a335e3a4fc328", regtest, "p2wpkh");

async function solanaWallet(name) {
  const pair = await solana.createKeyPairFromPrivateKeyBytes(seed(name));
  const account = `solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${await solana.getAddressFromPublicKey(pair.publicKey)}`;
  const sign = async (text) => base58Encode(await solana.signBytes(pair.privateKey, Buffer.from(text)));
  return { account, pair, encode: (text) => variant(4, base58Decode(text)), sign };
}
wallets.solana = await solanaWallet("solana");

function aptosWallet(name, legacy) {
  const owner = aptos.Account.fromPrivateKey({ privateKey: new aptos.Ed25519PrivateKey(seed(name)), legacy });
  const account = `aptos:1:${owner.accountAddress.toStringLong()}`;
  const key = legacy ? owner.publicKey : owner.publicKey.publicKey;
  const sign = (text, { nonce }) => {
    const signature = owner.sign(Buffer.from(`APTOS\nmessage: ${text}\nnonce: ${nonce}`));
    return `${key}:${legacy ? signature : signature.signature}`;
  };
  const encode = (text) => variant(5, ...text.split(":").map(unhex));
  return { account, owner, key, encode, sign };
}
wallets.aptos = aptosWallet("aptos", true);
wallets.aptos_single_key = aptosWallet("aptos single key", false);

function polkadotWallet(name, type, reference, ss58Format) {
  const pair = new Keyring({ type, ss58Format }).addFromSeed(seed(name));
  const sign = (text) => `0x${hex(pair.sign(u8aWrapBytes(text)))}`;
  return { account: `polkadot:${reference}:${pair.address}`, pair, encode: (text) => variant(type === "ed25519" ? 6 : 7, unhex(text)), sign };
}
const POLKADOT = "91b171bb158e2d3848fa23a9f1c25182";
const KUSAMA = "b0a8d493285c2df73290dfb7e61f870f";
wallets.polkadot_ed25519 = polkadotWallet("polkadot ed25519", "ed25519", POLKADOT, 0);
wallets.polkadot_sr25519 = polkadotWallet("polkadot sr25519", "sr25519", POLKADOT, 0);
wallets.kusama_ed25519 = polkadotWallet("kusama ed25519", "ed25519", KUSAMA, 2);
wallets.kusama_sr25519 = polkadotWallet("kusama sr25519", "sr25519", KUSAMA, 2);

function antelopeWallet(name, reference, actor) {
  const key = new antelope.PrivateKey(antelope.KeyType.K1, antelope.Bytes.from(hex(seed(name)), "hex"));
  const sign = (text) => `${key.toPublic()}:${key.signMessage(antelope.Bytes.from(text, "utf8"))}`;
  const encode = (text) => {
    const [publicKey, signature] = text.split(":");
    const bytes = antelope.Signature.from(signature).data.array;
    return variant(8, antelope.PublicKey.from(publicKey).data.array, bytes);
  };
  return { account: `antelope:${reference}:${actor}`, key, encode, sign };
}
wallets.antelope = antelopeWallet("antelope", "aca376f206b8fc25a6ed44dbdc66547c", "tokenim.ex");
wallets.antelope_wax = antelopeWallet("antelope wax", "1064487b3cd1a897ce03ae5b6a865651", "abcdefgh1234j");

// Links that hold.
const file = join(folder, "links.json");
const before = existsSync(file) ? JSON.parse(readFileSync(file)).links : [];
const kept = (name, text) =>
  before.find((link) => /sr25519|p2tr/.test(name) && link.name === name && link.text === text)?.signature;
const links = [];
for (const [name, wallet] of Object.entries(wallets)) {
  const statement = statementOf(wallet.account, name);
  const text = textOf(statement);
  wallet.text = text;
  wallet.statement = statement;
  wallet.signature = kept(name, text) ?? (await wallet.sign(text, statement));
  const salt = seed(`salt ${name}`);
  const opening = openingOf(statement, wallet.encode(wallet.signature), salt);
  wallet.opening = opening;
  links.push({
    name, ...statement, text, signature: wallet.signature, salt: hex(salt), opening: hex(opening),
    commitment: hex(commitmentOf(opening)),
  });
}

// Links that don't. `error` is the refusal; `read_as` the account as whose signature the text is read, if another.
const refused = [];
const refuse = (name, wallet, error, changes = {}) =>
  refused.push({ name, ...wallet.statement, signature: wallet.signature, error, ...changes });
const otherNetwork = hex(seed("other network"));
const otherIdentity = identityText(seed("other identity"));
for (const [name, wallet] of Object.entries(wallets)) {
  const recovers = /evm|tron|p2pkh|antelope/.test(name) ? "OtherSigner" : "Signature";
  refuse(`${name}_of_another_network`, wallet, recovers, { network: otherNetwork });
  refuse(`${name}_of_another_identity`, wallet, recovers, { identity: otherIdentity });
  refuse(`${name}_with_another_nonce`, wallet, recovers, { nonce: "00".repeat(16) });
  refuse(`${name}_of_another_time`, wallet, recovers, { issued: wallet.statement.issued + 1 });
}
const moved = (wallet, chain) => ({ account: `${chain}:${wallet.account.split(":")[2]}` });
refuse("evm_of_another_chain", wallets.evm, "OtherSigner", moved(wallets.evm, "eip155:10"));
refuse("tron_of_another_chain", wallets.tron, "OtherSigner", moved(wallets.tron, "tron:0x94a9059e"));
refuse("bitcoin_of_another_chain", wallets.bitcoin_testnet4_p2tr, "Signature",
  moved(wallets.bitcoin_testnet4_p2tr, "bip122:000000000933ea01ad0ee984209779ba"));
refuse("bitcoin_legacy_of_another_chain", wallets.bitcoin_testnet3_p2pkh, "OtherSigner",
  moved(wallets.bitcoin_testnet3_p2pkh, "bip122:00000008819873e925422c1ff0f99f7c"));
refuse("solana_of_another_chain", wallets.solana, "Signature", moved(wallets.solana, "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"));
refuse("aptos_of_another_chain", wallets.aptos, "Signature", moved(wallets.aptos, "aptos:2"));
refuse("antelope_of_another_chain", wallets.antelope, "OtherSigner",
  moved(wallets.antelope, "antelope:1064487b3cd1a897ce03ae5b6a865651"));
refuse("antelope_of_another_name", wallets.antelope, "OtherSigner",
  { account: "antelope:aca376f206b8fc25a6ed44dbdc66547c:tokenim.ez" });
{
  // The same key on the other relay chain: another prefix, so another address and another text.
  const { pair } = wallets.polkadot_ed25519;
  const address = new Keyring({ ss58Format: 2 }).encodeAddress(pair.publicKey);
  refuse("polkadot_of_another_chain", wallets.polkadot_ed25519, "Signature", { account: `polkadot:${KUSAMA}:${address}` });
}

// Signed by another key than the account's, over the account's text.
const others = {
  evm: evm("other", 1), tron: tronWallet("other", "0x2b6653dc"),
  bitcoin_p2pkh: bitcoinWallet("other", MAIN, main, "p2pkh"),
  bitcoin_p2wpkh: bitcoinWallet("other", MAIN, main, "p2wpkh"),
  bitcoin_p2tr: bitcoinWallet("other", MAIN, main, "p2tr"),
  solana: await solanaWallet("other"), aptos: aptosWallet("other", true),
  polkadot_ed25519: polkadotWallet("other", "ed25519", POLKADOT, 0),
  polkadot_sr25519: polkadotWallet("other", "sr25519", POLKADOT, 0),
};
for (const [name, other] of Object.entries(others)) {
  const wallet = wallets[name];
  const error = /p2tr|solana|polkadot/.test(name) ? "Signature" : "OtherSigner";
  refuse(`${name}_by_another_account`, wallet, error, { signature: await other.sign(wallet.text, wallet.statement) });
}
{
  const [key] = wallets.antelope.signature.split(":");
  const [otherKey, otherSignature] = antelopeWallet("other", "aca376f206b8fc25a6ed44dbdc66547c", "x").sign(wallets.antelope.text).split(":");
  refuse("antelope_by_another_key", wallets.antelope, "OtherSigner", { signature: `${key}:${otherSignature}` });
  refuse("antelope_with_another_key", wallets.antelope, "OtherSigner",
    { signature: `${otherKey}:${wallets.antelope.signature.split(":")[1]}` });
  const [aptosKey] = others.aptos.sign("", { nonce: "" }).split(":");
  refuse("aptos_with_another_key", wallets.aptos, "OtherSigner", { signature: `${aptosKey}:${wallets.aptos.signature.split(":")[1]}` });
}

// ECDSA in other than its one form.
const ORDER = BigInt("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
const number = (bytes) => BigInt(`0x${hex(bytes)}`);
const bytes32 = (value) => unhex(value.toString(16).padStart(64, "0"));
for (const [name, wallet] of [["evm", wallets.evm], ["tron", wallets.tron]]) {
  const bytes = unhex(wallet.signature);
  const [r, s, v] = [bytes.subarray(0, 32), bytes.subarray(32, 64), bytes[64]];
  const put = (...parts) => ({ signature: `0x${hex(Buffer.concat(parts.map((part) => Buffer.from(part))))}` });
  refuse(`${name}_high_s`, wallet, "NotCanonical", put(r, bytes32(ORDER - number(s)), [55 - v]));
  refuse(`${name}_s_zero`, wallet, "NotCanonical", put(r, Buffer.alloc(32), [v]));
  refuse(`${name}_r_zero`, wallet, "NotCanonical", put(Buffer.alloc(32), s, [v]));
  refuse(`${name}_s_beyond_the_order`, wallet, "NotCanonical", put(r, bytes32(ORDER), [v]));
  refuse(`${name}_r_beyond_the_order`, wallet, "NotCanonical", put(bytes32(ORDER + 1n), s, [v]));
  refuse(`${name}_wrong_recovery_id`, wallet, "OtherSigner", put(r, s, [55 - v]));
  refuse(`${name}_recovery_id_from_zero`, wallet, "RecoveryId", put(r, s, [v - 27]));
  refuse(`${name}_recovery_id_29`, wallet, "RecoveryId", put(r, s, [29]));
  refuse(`${name}_recovery_id_of_a_transaction`, wallet, "RecoveryId", put(r, s, [v + 10]));
  refuse(`${name}_truncated`, wallet, "Form", put(r, s));
  refuse(`${name}_a_byte_more`, wallet, "Form", put(r, s, [v, 0]));
  refuse(`${name}_compact`, wallet, "Form", put(r, s));
}
// Of another purpose: the same key, the same text, signed in another way.
{
  const { key } = wallets.evm;
  const joined = (digest) => key.sign(digest).serialized;
  const text = wallets.evm.text;
  refuse("evm_plain_hash", wallets.evm, "OtherSigner", { signature: joined(ethers.id(text)) });
  refuse("evm_tron_prefix", wallets.evm, "OtherSigner", { signature: joined(tron.message.hashMessage(text)) });
  const wallet = new ethers.Wallet(key);
  const typed = await wallet.signTypedData({ name: "tokenim" }, { Link: [{ name: "text", type: "string" }] }, { text });
  refuse("evm_typed_data", wallets.evm, "OtherSigner", { signature: typed });
  const tronKey = new ethers.SigningKey(seed("tron"));
  refuse("tron_ethereum_prefix", wallets.tron, "OtherSigner",
    { signature: tronKey.sign(ethers.hashMessage(wallets.tron.text)).serialized });
  const first = Buffer.concat([Buffer.from("\x19TRON Signed Message:\n32"), Buffer.from(wallets.tron.text)]);
  refuse("tron_first_version", wallets.tron, "OtherSigner", { signature: tronKey.sign(ethers.keccak256(first)).serialized });
}
for (const name of ["bitcoin_p2pkh", "bitcoin_p2pkh_uncompressed"]) {
  const wallet = wallets[name];
  const bytes = Buffer.from(wallet.signature, "base64");
  const [header, r, s] = [bytes[0], bytes.subarray(1, 33), bytes.subarray(33)];
  const put = (...parts) => ({ signature: Buffer.concat(parts.map((part) => Buffer.from(part))).toString("base64") });
  const base = name.endsWith("uncompressed") ? 27 : 31;
  refuse(`${name}_high_s`, wallet, "NotCanonical", put([base + ((header - base) ^ 1)], r, bytes32(ORDER - number(s))));
  refuse(`${name}_wrong_recovery_id`, wallet, "OtherSigner", put([base + ((header - base) ^ 1)], r, s));
  refuse(`${name}_wrong_encoding_of_the_key`, wallet, "OtherSigner", put([header - base + 58 - base], r, s));
  refuse(`${name}_header_of_a_nested_segwit_address`, wallet, "RecoveryId", put([header - base + 35], r, s));
  refuse(`${name}_header_of_a_segwit_address`, wallet, "RecoveryId", put([header - base + 39], r, s));
  refuse(`${name}_header_26`, wallet, "RecoveryId", put([26], r, s));
  refuse(`${name}_truncated`, wallet, "Form", put([header], r, s.subarray(1)));
  refuse(`${name}_without_padding`, wallet, "Form", { signature: wallet.signature.replace(/=+$/, "") });
}
{
  const { pair, text } = wallets.bitcoin_p2pkh;
  const other = Buffer.from(bitcoinMessage.sign(text, Buffer.from(pair.privateKey), true, "\x19Litecoin Signed Message:\n"));
  refuse("bitcoin_p2pkh_of_litecoin", wallets.bitcoin_p2pkh, "OtherSigner", { signature: other.toString("base64") });
  // The legacy format for a segwit address has another length, and is not read as a witness.
  const legacy = Buffer.from(bitcoinMessage.sign(text, Buffer.from(pair.privateKey), true)).toString("base64");
  refuse("bitcoin_p2wpkh_legacy_message", wallets.bitcoin_p2wpkh, "Witness", { signature: legacy });
  refuse("bitcoin_p2wpkh_message_kind", wallets.bitcoin_p2wpkh, "Kind",
    { signature: wallets.bitcoin_p2pkh.signature, read_as: wallets.bitcoin_p2pkh.account });
  refuse("bitcoin_p2pkh_witness_kind", wallets.bitcoin_p2pkh, "Kind",
    { signature: wallets.bitcoin_p2wpkh.signature, read_as: wallets.bitcoin_p2wpkh.account });
}
{
  const wallet = wallets.bitcoin_p2wpkh;
  const witness = Buffer.from(wallet.signature.slice(3), "base64");
  const [der, key] = [witness.subarray(2, 1 + witness[1]), witness.subarray(-33)];
  const type = witness[1 + witness[1]];
  const put = (...items) => ({
    signature: `smp${Buffer.concat([[items.length], ...items.flatMap((item) => [[item.length], item])].map((part) => Buffer.from(part))).toString("base64")}`,
  });
  const signed = (body, flag = type) => Buffer.concat([body, Buffer.from([flag])]);
  if (put(signed(der), key).signature !== wallet.signature) throw new Error("witness");
  const r = der.subarray(4, 4 + der[3]);
  const s = der.subarray(6 + der[3]);
  const integer = (bytes) => {
    const body = bytes[0] & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
    return Buffer.concat([Buffer.from([2, body.length]), body]);
  };
  const sequence = (...parts) => {
    const body = Buffer.concat(parts);
    return Buffer.concat([Buffer.from([0x30, body.length]), body]);
  };
  const plain = (bytes) => (bytes[0] === 0 ? bytes.subarray(1) : bytes);
  const flipped = bytes32(ORDER - number(s));
  refuse("bitcoin_p2wpkh_high_s", wallet, "NotCanonical", put(signed(sequence(integer(plain(r)), integer(flipped))), key));
  const padded = Buffer.concat([Buffer.from([2, s.length + 1, 0]), s]);
  refuse("bitcoin_p2wpkh_padded_der", wallet, "NotCanonical", put(signed(sequence(integer(plain(r)), padded)), key));
  refuse("bitcoin_p2wpkh_der_with_a_byte_more", wallet, "NotCanonical", put(signed(Buffer.concat([der, Buffer.from([0])])), key));
  refuse("bitcoin_p2wpkh_other_hash_type", wallet, "NotCanonical", put(signed(der, 0x83), key));
  refuse("bitcoin_p2wpkh_no_hash_type", wallet, "NotCanonical", put(der, key));
  refuse("bitcoin_p2wpkh_no_signature", wallet, "NotCanonical", put(Buffer.alloc(0), key));
  const long = Buffer.from(wallet.pair.publicKey);
  const point = Buffer.concat([Buffer.from([4]), long.subarray(1), long.subarray(1)]).subarray(0, 65);
  refuse("bitcoin_p2wpkh_key_not_compressed", wallet, "Form", put(signed(der), point));
  refuse("bitcoin_p2wpkh_key_of_32_bytes", wallet, "Witness", put(signed(der), key.subarray(1)));
  const typed = (type) => put(signed(der), Buffer.concat([Buffer.from([type]), key.subarray(1)]));
  refuse("bitcoin_p2wpkh_key_compact", wallet, "Witness", typed(5));
  refuse("bitcoin_p2wpkh_key_hybrid", wallet, "Witness", typed(6));
  refuse("bitcoin_p2wpkh_key_of_no_type", wallet, "Witness", typed(0));
  refuse("bitcoin_p2wpkh_one_item", wallet, "Witness", put(signed(der)));
  refuse("bitcoin_p2wpkh_three_items", wallet, "Witness", put(Buffer.from([1]), Buffer.from([1]), key));
  refuse("bitcoin_p2wpkh_empty", wallet, "Witness", { signature: "smpAA==" });
  refuse("bitcoin_p2wpkh_nothing", wallet, "Witness", { signature: "smp" });
  const cut = witness.subarray(0, witness.length - 1).toString("base64");
  refuse("bitcoin_p2wpkh_truncated", wallet, "Witness", { signature: `smp${cut}` });
  const more = Buffer.concat([witness, Buffer.from([0])]).toString("base64");
  refuse("bitcoin_p2wpkh_a_byte_more", wallet, "Witness", { signature: `smp${more}` });
  refuse("bitcoin_p2wpkh_full_variant", wallet, "Form", { signature: `ful${witness.toString("base64")}` });
}
{
  const wallet = wallets.bitcoin_p2tr;
  const witness = Buffer.from(wallet.signature.slice(3), "base64");
  const put = (bytes) => ({ signature: `smp${Buffer.from(bytes).toString("base64")}` });
  if (witness.length !== 67) throw new Error("witness");
  const signature = witness.subarray(2, 66);
  refuse("bitcoin_p2tr_hash_type_left_out", wallet, "Signature", put([1, 64, ...signature]));
  refuse("bitcoin_p2tr_default_hash_type_written", wallet, "NotCanonical", put([1, 65, ...signature, 0]));
  refuse("bitcoin_p2tr_other_hash_type", wallet, "NotCanonical", put([1, 65, ...signature, 0x81]));
  refuse("bitcoin_p2tr_truncated", wallet, "NotCanonical", put([1, 63, ...signature.subarray(1)]));
  refuse("bitcoin_p2tr_s_beyond_the_order", wallet, "NotCanonical",
    put([1, 65, ...signature.subarray(0, 32), ...bytes32(ORDER), 1]));
  refuse("bitcoin_p2tr_with_annex", wallet, "Witness", put([2, 65, ...signature, 1, 1, 0x50]));
  refuse("bitcoin_p2tr_by_script", wallet, "Witness", put([3, 4, 1, 2, 3, 4, 1, 0x51, 1, 0xc0]));
}

// Ed25519, and what looks like it.
const GROUP = 2n ** 252n + 27742317777372353535851937790883648493n;
const little = (bytes) => number(Buffer.from(bytes).reverse());
const add = (signature) => {
  const sum = bytes32(little(signature.subarray(32)) + GROUP).reverse();
  return Buffer.concat([signature.subarray(0, 32), sum]);
};
const identityPoint = Buffer.concat([Buffer.from([1]), Buffer.alloc(31)]);
const nothing = Buffer.concat([identityPoint, Buffer.alloc(32)]);
{
  const wallet = wallets.solana;
  const bytes = Buffer.from(base58Decode(wallet.signature));
  const put = (value) => ({ signature: base58Encode(value) });
  refuse("solana_s_beyond_the_order", wallet, "Signature", put(add(bytes)));
  refuse("solana_truncated", wallet, "Form", put(bytes.subarray(0, 63)));
  refuse("solana_hexadecimal", wallet, "Form", { signature: `0x${hex(bytes)}` });
  const header = Buffer.concat([Buffer.from([0xff]), Buffer.from("solana offchain"), Buffer.from([0, 1]),
    Buffer.from([wallet.text.length & 255, wallet.text.length >> 8]), Buffer.from(wallet.text)]);
  refuse("solana_off_chain_format", wallet, "Signature", put(await solana.signBytes(wallet.pair.privateKey, header)));
  const small = `solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${base58Encode(identityPoint)}`;
  refuse("solana_key_of_small_order", wallet, "Signature", { account: small, ...put(nothing) });
}
{
  const wallet = wallets.aptos;
  const [key, signature] = wallet.signature.split(":");
  refuse("aptos_s_beyond_the_order", wallet, "Signature", { signature: `${key}:0x${hex(add(unhex(signature)))}` });
  refuse("aptos_truncated", wallet, "Form", { signature: `${key}:${signature.slice(0, -2)}` });
  refuse("aptos_without_key", wallet, "Form", { signature });
  const raw = (text) => `${key}:${wallet.owner.sign(Buffer.from(text))}`;
  refuse("aptos_text_alone", wallet, "Signature", { signature: raw(wallet.text) });
  const full = `APTOS\nchainId: 1\nmessage: ${wallet.text}\nnonce: ${wallet.statement.nonce}`;
  refuse("aptos_with_chain_id", wallet, "Signature", { signature: raw(full) });
}
{
  const wallet = wallets.polkadot_ed25519;
  const bytes = unhex(wallet.signature);
  const put = (value) => ({ signature: `0x${hex(value)}` });
  refuse("polkadot_ed25519_s_beyond_the_order", wallet, "Signature", put(add(bytes)));
  refuse("polkadot_truncated", wallet, "Form", put(bytes.subarray(0, 63)));
  refuse("polkadot_with_kind", wallet, "Form", put(Buffer.concat([Buffer.from([0]), bytes])));
  refuse("polkadot_ed25519_not_wrapped", wallet, "Signature", put(wallet.pair.sign(Buffer.from(wallet.text))));
  refuse("polkadot_ed25519_read_as_sr25519", wallet, "Signature", put(Buffer.concat([bytes.subarray(0, 63), Buffer.from([bytes[63] | 128])])));
  const sr = wallets.polkadot_sr25519;
  const plain = unhex(sr.signature);
  refuse("polkadot_sr25519_not_wrapped", sr, "Signature", put(sr.pair.sign(Buffer.from(sr.text))));
  refuse("polkadot_sr25519_not_marked", sr, "Signature", put(Buffer.concat([plain.subarray(0, 63), Buffer.from([plain[63] & 127])])));
  const order = bytes32(GROUP).reverse();
  order[31] |= 128;
  refuse("polkadot_sr25519_s_beyond_the_order", sr, "NotCanonical", put(Buffer.concat([plain.subarray(0, 32), order])));
}
{
  const wallet = wallets.antelope;
  const [key, signature] = wallet.signature.split(":");
  const data = Buffer.from(antelope.Signature.from(signature).data.array);
  const [header, r, s] = [data[0], data.subarray(1, 33), data.subarray(33)];
  const put = (...parts) => {
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));
    return { signature: `${key}:${new antelope.Signature(antelope.KeyType.K1, antelope.Bytes.from(hex(bytes), "hex"))}` };
  };
  const flip = 31 + ((header - 31) ^ 1);
  refuse("antelope_high_s", wallet, "NotCanonical", put([flip], r, bytes32(ORDER - number(s))));
  refuse("antelope_wrong_recovery_id", wallet, "OtherSigner", put([flip], r, s));
  refuse("antelope_header_27", wallet, "RecoveryId", put([header - 4], r, s));
  refuse("antelope_header_35", wallet, "RecoveryId", put([35], r, s));
  const short = Buffer.concat([Buffer.from([0, 0x7f]), r.subarray(2)]);
  refuse("antelope_r_with_needless_zero", wallet, "NotCanonical", put([header], short, s));
  const top = Buffer.concat([Buffer.from([0x80]), r.subarray(1)]);
  refuse("antelope_r_with_top_bit", wallet, "NotCanonical", put([header], top, s));
  refuse("antelope_mistyped_signature", wallet, "Form", { signature: `${key}:${signature.slice(0, -1)}${signature.endsWith("x") ? "y" : "x"}` });
  refuse("antelope_mistyped_key", wallet, "Form", { signature: `${key.slice(0, -1)}${key.endsWith("x") ? "y" : "x"}:${signature}` });
  refuse("antelope_without_key", wallet, "Form", { signature });
  const r1 = "PUB_R1_6FPFZqw5ahYrR9jD96yDbbDNTdKtNqRbze6oTDLntrsANgQKZu";
  refuse("antelope_key_of_another_curve", wallet, "Form", { signature: `${r1}:${signature}` });
  const unbroken = wallet.key.signMessage(antelope.Bytes.from(wallet.text.replaceAll(" ", "\n"), "utf8"));
  refuse("antelope_other_breaks", wallet, "OtherSigner", { signature: `${key}:${unbroken}` });
}
for (const [name, of, as] of [
  ["evm_signature_of_tron", "evm", "tron"], ["tron_signature_of_evm", "tron", "evm"],
  ["solana_signature_of_polkadot", "solana", "polkadot_ed25519"], ["polkadot_signature_of_solana", "polkadot_ed25519", "solana"],
  ["aptos_signature_of_solana", "aptos", "solana"], ["antelope_signature_of_bitcoin", "antelope", "bitcoin_p2pkh"],
  ["bitcoin_signature_of_antelope", "bitcoin_p2pkh", "antelope"],
]) {
  refuse(name, wallets[of], "Kind", { signature: wallets[as].signature, read_as: wallets[as].account });
}

// Openings that show nothing, and bytes that are no opening.
const openings = [];
const malformed = [];
{
  const { opening, statement } = wallets.evm;
  const commitment = hex(commitmentOf(opening));
  const base = { opening: hex(opening), network: statement.network, identity: statement.identity, links: [commitment] };
  const put = (name, error, changes) => openings.push({ name, ...base, ...changes, error });
  put("another_network", "WrongNetwork", { network: otherNetwork });
  put("another_identity", "WrongIdentity", { identity: otherIdentity });
  put("no_links", "NotLinked", { links: [] });
  put("links_of_others", "NotLinked", { links: links.slice(1, 4).map((link) => link.commitment) });
  const salted = Buffer.from(opening);
  salted[1] ^= 1;
  put("another_salt", "NotLinked", { opening: hex(salted) });
  put("hash_without_label", "NotLinked", { links: [hex(sha256(opening.subarray(1)))] });
  put("hash_with_version", "NotLinked", { links: [hex(sha256([LABEL.length], LABEL, opening))] });
  const forged = openingOf(statement, others.evm.encode(others.evm.sign(wallets.evm.text)), seed("salt forged"));
  put("committed_but_by_another_account", "OtherSigner", { opening: hex(forged), links: [hex(commitmentOf(forged))] });
  const kind = openingOf(statement, wallets.tron.encode(wallets.tron.signature), seed("salt kind"));
  put("committed_but_of_another_kind", "Kind", { opening: hex(kind), links: [hex(commitmentOf(kind))] });

  const bytes = (name, error, value) => malformed.push({ name, opening: hex(value), error });
  const encoded = (changes, signature = wallets.evm.encode(wallets.evm.signature)) =>
    openingOf({ ...statement, ...changes }, signature, seed("salt malformed"));
  bytes("empty", "Truncated", Buffer.alloc(0));
  bytes("truncated", "Truncated", opening.subarray(0, opening.length - 1));
  bytes("a_byte_more", "TrailingBytes", Buffer.concat([opening, Buffer.from([0])]));
  bytes("too_long", "TooLong", Buffer.concat([opening, Buffer.alloc(400)]));
  bytes("unknown_version", "UnknownVersion", Buffer.concat([Buffer.from([2]), opening.subarray(1)]));
  bytes("account_in_lower_case", "NotCanonical", encoded({ account: statement.account.toLowerCase() }));
  bytes("account_in_capitals", "NotCanonical", encoded({ account: wallets.bitcoin_p2wpkh.account.replace(/bc1.*/, (text) => text.toUpperCase()) },
    wallets.bitcoin_p2wpkh.encode(wallets.bitcoin_p2wpkh.signature)));
  bytes("account_malformed", "Malformed", encoded({ account: "eip155:1:0x00" }));
  bytes("account_too_long", "Malformed", encoded({ account: `eip155:1:0x${"0".repeat(130)}` }));
  bytes("time_after_9999", "Malformed", encoded({ issued: 253_402_300_800 }));
  bytes("unknown_kind_of_signature", "Malformed", encoded({}, variant(9, Buffer.alloc(65))));
  bytes("kind_with_a_needless_byte", "NotCanonical", encoded({}, Buffer.concat([Buffer.from([0x80, 0]), unhex(wallets.evm.signature)])));
  bytes("witness_too_long", "Malformed", encoded({}, variant(3, sized(Buffer.alloc(113)))));
}

// Names of accounts.
const accounts = { accepted: [], refused: [] };
const accept = (text, canonical = text) => accounts.accepted.push({ text, canonical });
const reject = (name, text, error) => accounts.refused.push({ name, text, error });
for (const wallet of Object.values(wallets)) accept(wallet.account);
{
  const lower = wallets.evm.account.toLowerCase();
  accept(lower, wallets.evm.account);
  accept(`eip155:1:0x${lower.slice(11).toUpperCase()}`, wallets.evm.account);
  accept(`bip122:${MAIN}:${wallets.bitcoin_p2wpkh.address.toUpperCase()}`, wallets.bitcoin_p2wpkh.account);
  accept("eip155:18446744073709551615:0xde709f2102306220921060314715629080e2fb77");
  accept(`solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1:${base58Encode(Buffer.alloc(32))}`);
  accept(`aptos:255:0x${"0".repeat(63)}1`);
  accept("antelope:aca376f206b8fc25a6ed44dbdc66547c:a");
  accept("antelope:aca376f206b8fc25a6ed44dbdc66547c:zzzzzzzzzzzzj");
  // The examples of the CAIP-10 profiles of the namespaces polkadot, solana and bip122.
  accept(`polkadot:${POLKADOT}:15rRgsWxz4H5LTnNGcCFsszfXD8oeAFd8QRsR6MbQE2f6XFF`);
  accept(`polkadot:${KUSAMA}:HRkCrbmke2XeabJ5fxJdgXWpBRPkXWfWHY8eTeCKwDdf4k6`);
  accept("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:7S3P4HxJpyyigGzodYwHtCxZyUQe9JiBMHyRWXArAaKv");
  accept(`bip122:${MAIN}:bc1qwz2lhc40s8ty3l5jg3plpve3y3l82x9l42q7fk`);

  reject("empty", "", "Form");
  reject("address_alone", wallets.evm.account.slice(9), "Form");
  reject("chain_alone", "eip155:1", "Form");
  reject("too_long", `eip155:1:0x${"0".repeat(130)}`, "TooLong");
  reject("namespace_unknown", "cosmos:cosmoshub-3:cosmos1t2uflqwqe0fsj0shcfkrvpukewcw40yjj6hdc0", "Namespace");
  reject("namespace_in_capitals", wallets.evm.account.replace("eip", "EIP"), "Namespace");
  reject("space_before", ` ${wallets.evm.account}`, "Namespace");
  reject("space_after", `${wallets.evm.account} `, "Address");
  reject("a_part_more", `${wallets.evm.account}:1`, "Address");
  const at = (chain, address) => `${chain}:${address ?? wallets.evm.account.slice(9)}`;
  reject("evm_chain_zero", at("eip155:0"), "Chain");
  reject("evm_chain_with_leading_zero", at("eip155:01"), "Chain");
  reject("evm_chain_in_hexadecimal", at("eip155:0x1"), "Chain");
  reject("evm_chain_with_sign", at("eip155:+1"), "Chain");
  reject("evm_chain_empty", at("eip155:"), "Chain");
  reject("evm_chain_beyond_64_bits", at("eip155:18446744073709551616"), "Chain");
  const mixed = wallets.evm.account;
  const swapped = mixed.replace(/[a-f](?=[^a-f]*$)/, (letter) => letter.toUpperCase());
  reject("evm_checksum", swapped === mixed ? mixed.replace(/[A-F](?=[^A-F]*$)/, (letter) => letter.toLowerCase()) : swapped, "Checksum");
  reject("evm_without_0x", mixed.replace("0x", ""), "Address");
  reject("evm_twice_0x", mixed.replace("0x", "0x0x"), "Address");
  reject("evm_capital_0x", mixed.replace("0x", "0X"), "Address");
  reject("evm_short", mixed.slice(0, -1), "Address");
  reject("evm_long", `${mixed}0`, "Address");
  reject("evm_not_hexadecimal", `${mixed.slice(0, -1)}g`, "Address");
  const mistype = (text) => text.slice(0, -1) + (text.endsWith("q") ? "p" : "q");
  const tronAccount = wallets.tron.account;
  reject("tron_checksum", mistype(tronAccount), "Checksum");
  reject("tron_chain_in_decimal", tronAccount.replace("0x2b6653dc", "728126428"), "Chain");
  reject("tron_chain_twice_0x", tronAccount.replace("0x2b6653dc", "0x0x2b6653dc"), "Chain");
  reject("tron_chain_short", tronAccount.replace("0x2b6653dc", "0x6653dc"), "Chain");
  reject("tron_chain_in_capitals", tronAccount.replace("0x2b6653dc", "0x2B6653DC"), "Chain");
  reject("tron_address_in_hexadecimal", `tron:0x2b6653dc:${TronWeb.address.toHex(tronAccount.split(":")[2])}`, "Address");
  reject("tron_version_of_bitcoin", `tron:0x2b6653dc:${wallets.bitcoin_p2pkh.address}`, "Address");
  reject("bitcoin_chain_unknown", wallets.bitcoin_p2wpkh.account.replace(MAIN, "12a765e31ffd4059bada1e25190f6e98"), "Chain");
  reject("bitcoin_chain_short", wallets.bitcoin_p2wpkh.account.replace(MAIN, MAIN.slice(1)), "Chain");
  reject("bitcoin_segwit_checksum", mistype(wallets.bitcoin_p2wpkh.account), "Checksum");
  reject("bitcoin_segwit_mixed_case", wallets.bitcoin_p2wpkh.account.replace("bc1q", "bc1Q"), "Checksum");
  reject("bitcoin_segwit_of_another_chain", `bip122:${MAIN}:${wallets.bitcoin_signet_p2wpkh.address}`, "OtherChain");
  reject("bitcoin_regtest_on_testnet", `bip122:000000000933ea01ad0ee984209779ba:${wallets.bitcoin_regtest_p2wpkh.address}`, "OtherChain");
  reject("bitcoin_legacy_checksum", mistype(wallets.bitcoin_p2pkh.account), "Checksum");
  reject("bitcoin_legacy_of_another_chain", `bip122:${MAIN}:${wallets.bitcoin_testnet3_p2pkh.address}`, "OtherChain");
  reject("bitcoin_p2sh", `bip122:${MAIN}:35PBEaofpUeH8VnnNSorM1QZsadrZoQp4N`, "Unsupported");
  const script = sha256("script");
  const p2wsh = bitcoin.payments.p2wsh({ hash: script, network: main }).address;
  reject("bitcoin_p2wsh", `bip122:${MAIN}:${p2wsh}`, "Unsupported");
  // BIP-350: version 1 with the checksum of version 0, version 0 with that of version 1, and a later version.
  reject("bitcoin_p2tr_in_bech32", `bip122:${MAIN}:bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd`, "Checksum");
  reject("bitcoin_p2wpkh_in_bech32m", `bip122:${MAIN}:bc1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav`, "Checksum");
  reject("bitcoin_segwit_version_16", `bip122:${MAIN}:BC1SW50QGDZ25J`, "Unsupported");
  reject("bitcoin_tron_address", `bip122:${MAIN}:${tronAccount.split(":")[2]}`, "Address");
  const solanaAddress = wallets.solana.account.split(":")[2];
  reject("solana_chain_short", `solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvd:${solanaAddress}`, "Chain");
  reject("solana_chain_not_base58", `solana:0eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${solanaAddress}`, "Chain");
  reject("solana_chain_by_name", `solana:mainnet:${solanaAddress}`, "Chain");
  reject("solana_short", `solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${base58Encode(seed("x").subarray(1))}`, "Address");
  reject("solana_long", `solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${base58Encode([1, ...seed("x")])}`, "Address");
  reject("solana_not_base58", `solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:${solanaAddress.slice(0, -1)}0`, "Address");
  const aptosAddress = wallets.aptos.account.split(":")[2];
  reject("aptos_chain_zero", `aptos:0:${aptosAddress}`, "Chain");
  reject("aptos_chain_beyond_8_bits", `aptos:256:${aptosAddress}`, "Chain");
  reject("aptos_short_form", "aptos:1:0x1", "Address");
  reject("aptos_capitals", `aptos:1:0x${aptosAddress.slice(2).toUpperCase()}`, "Address");
  reject("aptos_without_0x", `aptos:1:${aptosAddress.slice(2)}`, "Address");
  const dot = wallets.polkadot_ed25519.account;
  reject("polkadot_checksum", `${dot.slice(0, -3)}${dot.at(-3) === "x" ? "y" : "x"}${dot.slice(-2)}`, "Checksum");
  reject("polkadot_of_another_chain", `polkadot:${KUSAMA}:${dot.split(":")[2]}`, "OtherChain");
  reject("polkadot_generic_prefix", `polkadot:${POLKADOT}:${new Keyring({ ss58Format: 42 }).encodeAddress(wallets.polkadot_ed25519.pair.publicKey)}`, "OtherChain");
  reject("polkadot_chain_unknown", "polkadot:a0453819cbf8b4df9423a5cd601f546c:4smVWa6Hb7WhGh9zgqdAE86p5eZyj8BQJ9Uro4o2zidBnmfX", "Chain");
  reject("polkadot_short_account", `polkadot:${POLKADOT}:${(() => {
    const body = Buffer.from([0, 1]);
    return base58Encode(Buffer.concat([body, Buffer.from(blake2AsU8a(Buffer.concat([Buffer.from("SS58PRE"), body]), 512)).subarray(0, 1)]));
  })()}`, "Address");
  const eos = "antelope:aca376f206b8fc25a6ed44dbdc66547c";
  reject("antelope_chain_whole", `${eos}6e1dbed0de1e1ea3a6d0a86d8e52a9b5:a`, "Chain");
  reject("antelope_chain_in_capitals", "antelope:ACA376F206B8FC25A6ED44DBDC66547C:a", "Chain");
  reject("antelope_name_empty", `${eos}:`, "Address");
  reject("antelope_name_long", `${eos}:aaaaaaaaaaaaaa`, "Address");
  reject("antelope_name_thirteenth_beyond_j", `${eos}:aaaaaaaaaaaak`, "Address");
  reject("antelope_name_with_a_dot_at_its_end", `${eos}:abc.`, "Address");
  reject("antelope_name_with_6", `${eos}:abc6`, "Address");
  reject("antelope_name_in_capitals", `${eos}:Abc`, "Address");
}

const write = (name, value) => writeFileSync(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
write("links.json", { network: hex(NETWORK), identity: identityText(IDENTITY), links });
write("refused.json", { links: refused, openings, malformed });
write("accounts.json", accounts);
