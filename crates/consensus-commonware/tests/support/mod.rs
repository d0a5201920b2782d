//! A small application: its state is a hash over all payloads.
#![allow(dead_code, unreachable_pub)]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokenim_consensus::{Application, Block, BlockDigest, Certificate, Header, Misbehaviour, Verdict, payload_root};
use tokenim_wire::{Digest, Epoch, Height, Label, NetworkId, UnixMillis, hash};

pub mod bare;
pub mod loopback;

pub const NETWORK: NetworkId = NetworkId::from_bytes([0x77; 32]);
const STATE: Label = Label::new("tokenim/test-state/v1");
const NONE: Digest = Digest::from_bytes([0; 32]);

pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;
pub type Now = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

pub fn genesis(next_validators: Digest) -> Block {
    let payload = Vec::new();
    let header = Header {
        chain: NETWORK,
        epoch: Epoch::ZERO,
        height: Height::ZERO,
        time: UnixMillis::ZERO,
        parent: BlockDigest::from_bytes([0; 32]),
        payload_root: payload_root(&payload),
        state_root: NONE,
        receipts_root: NONE,
        node_set_root: NONE,
        header_mmr_root: NONE,
        next_validators,
    };
    Block::new(header, payload).unwrap()
}

fn state_root(parent: &Header, payload: &[u8]) -> Digest {
    hash(STATE, &[parent.state_root.as_bytes(), payload])
}

/// What survives a crash.
#[derive(Debug)]
pub struct Disk {
    pub genesis: Block,
    pub blocks: Vec<Block>,
    pub certificates: BTreeMap<u64, Certificate>,
    pub evidence: Vec<Misbehaviour>,
    /// The commit of this height fails.
    pub fail_at: Option<u64>,
    /// Waits this long in each commit.
    pub commit_delay: Duration,
}

impl Disk {
    pub fn new(genesis: Block) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            genesis,
            blocks: Vec::new(),
            certificates: BTreeMap::new(),
            evidence: Vec::new(),
            fail_at: None,
            commit_delay: Duration::ZERO,
        }))
    }

    pub fn tip(&self) -> &Block {
        self.blocks.last().unwrap_or(&self.genesis)
    }

    pub fn digests(&self) -> Vec<BlockDigest> {
        self.blocks.iter().map(Block::digest).collect()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AppError(pub &'static str);

#[derive(Default)]
struct Memory {
    executed: BTreeSet<BlockDigest>,
    mempool: VecDeque<Vec<u8>>,
}

#[derive(Clone)]
pub struct App {
    node: usize,
    disk: Arc<Mutex<Disk>>,
    memory: Arc<Mutex<Memory>>,
    sleep: Sleep,
    now: Now,
    heartbeat: Duration,
    ready: Arc<tokio::sync::Notify>,
}

impl App {
    pub fn new(node: usize, disk: Arc<Mutex<Disk>>, sleep: Sleep, now: Now, heartbeat: Duration) -> Self {
        Self {
            node,
            disk,
            memory: Arc::default(),
            sleep,
            now,
            heartbeat,
            ready: Arc::default(),
        }
    }

    /// On tokio's time and the wall clock.
    pub fn real(node: usize, disk: Arc<Mutex<Disk>>, heartbeat: Duration) -> Self {
        let sleep: Sleep = Arc::new(|duration| Box::pin(tokio::time::sleep(duration)));
        let now: Now = Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            UnixMillis::new(since.as_millis().try_into().unwrap())
        });
        Self::new(node, disk, sleep, now, heartbeat)
    }

    pub fn submit(&self, payload: Vec<u8>) {
        self.memory.lock().unwrap().mempool.push_back(payload);
        self.ready.notify_one();
    }

    /// Takes a payload out of the pool again, since another node's block has it.
    pub fn forget(&self, payload: &[u8]) {
        self.memory.lock().unwrap().mempool.retain(|other| other != payload);
    }

    pub fn disk(&self) -> Arc<Mutex<Disk>> {
        self.disk.clone()
    }
}

impl Application for App {
    type Error = AppError;

    async fn committed(&self) -> (Height, BlockDigest) {
        let disk = self.disk.lock().unwrap();
        (disk.tip().header.height, disk.tip().digest())
    }

    async fn is_executed(&self, digest: &BlockDigest) -> bool {
        let disk = self.disk.lock().unwrap();
        self.memory.lock().unwrap().executed.contains(digest)
            || disk.tip().digest() == *digest
            || disk.blocks.iter().rev().take(64).any(|block| block.digest() == *digest)
    }

    async fn propose(&self, parent: &Block, epoch: Epoch) -> Option<Block> {
        assert!(
            self.is_executed(&parent.digest()).await,
            "asked to build on a block that was not executed"
        );
        let mut payload = self.memory.lock().unwrap().mempool.pop_front();
        if payload.is_none() {
            let mut heartbeat = (self.sleep)(self.heartbeat);
            loop {
                let woken = futures::future::select(&mut heartbeat, Box::pin(self.ready.notified())).await;
                let over = matches!(woken, futures::future::Either::Left(_));
                payload = self.memory.lock().unwrap().mempool.pop_front();
                // What woke it may be in another node's block by now.
                if payload.is_some() || over {
                    break;
                }
            }
        }
        let payload = payload.unwrap_or_else(|| self.node.to_be_bytes().to_vec());
        let time = (self.now)().max(parent.header.time.next().unwrap());
        let header = Header {
            chain: NETWORK,
            epoch,
            height: parent.header.height.next().unwrap(),
            time,
            parent: parent.digest(),
            payload_root: payload_root(&payload),
            state_root: state_root(&parent.header, &payload),
            receipts_root: NONE,
            node_set_root: NONE,
            header_mmr_root: NONE,
            next_validators: parent.header.next_validators,
        };
        Some(Block::new(header, payload).unwrap())
    }

    async fn execute(&self, block: &Block) -> Verdict {
        assert!(
            self.is_executed(&block.header.parent).await,
            "asked to execute a block without its parent"
        );
        if block.header.time > (self.now)().saturating_add(2000) {
            return Verdict::Pending;
        }
        self.memory.lock().unwrap().executed.insert(block.digest());
        Verdict::Valid
    }

    async fn on_finalized(&self, block: &Block, certificate: Option<&Certificate>) -> Result<(), AppError> {
        let delay = self.disk.lock().unwrap().commit_delay;
        if !delay.is_zero() {
            (self.sleep)(delay).await;
        }
        let mut disk = self.disk.lock().unwrap();
        let height = block.header.height.get();
        if disk.fail_at == Some(height) {
            return Err(AppError("the disk is full"));
        }
        if let Some(certificate) = certificate {
            disk.certificates.insert(height, certificate.clone());
        }
        let committed = disk.tip().header.height.get();
        if height <= committed {
            let before = &disk.blocks[usize::try_from(height - 1).unwrap()];
            assert_eq!(before, block, "two final blocks at height {height}");
            return Ok(());
        }
        let tip = disk.tip().header;
        assert!(
            block.header.follows(&tip),
            "final block {height} does not follow {committed}"
        );
        assert_eq!(
            block.header.state_root,
            state_root(&tip, &block.payload),
            "wrong state root became final"
        );
        disk.blocks.push(block.clone());
        Ok(())
    }

    async fn on_certificate(
        &self,
        height: Height,
        digest: &BlockDigest,
        certificate: &Certificate,
    ) -> Result<(), AppError> {
        let mut disk = self.disk.lock().unwrap();
        let block = &disk.blocks[usize::try_from(height.get() - 1).unwrap()];
        assert_eq!(block.digest(), *digest);
        disk.certificates.insert(height.get(), certificate.clone());
        Ok(())
    }

    async fn on_misbehaviour(&self, evidence: &Misbehaviour) {
        self.disk.lock().unwrap().evidence.push(*evidence);
    }
}
