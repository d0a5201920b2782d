//! A node on a disk that gets full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokenim_client::Client;
use tokenim_testkit::Processes;

use crate::people::{Traffic, copy, person};
use crate::{ALL, PATIENCE, agree, height, last_line, lay_out, nobody_voted_twice, refusal};

/// The node on a small disk of its own.
const NODE: usize = 3;
/// Its size in MiB: 256 are what a store keeps free, so that it can write out what it has accepted.
const NODE_DISK: u64 = 400;
/// The node whose engine has its journal on a small disk of its own.
const JOURNAL: usize = 2;
/// Its size in MiB.
const JOURNAL_DISK: u64 = 64;

/// A small disk of its own, in memory. Dropping it takes it down.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Why not, where this user may not have one.
    fn mount(path: &Path, mib: u64) -> Result<Self, String> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0700"), "tokenim-test"])
            .arg(path)
            .output()
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            Ok(Self { path: path.to_owned() })
        } else {
            Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned())
        }
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Fills it until `left` bytes are free.
    fn fill(&self, left: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let chunk = vec![0xaa; 64 * 1024];
        while self.free() > left {
            let length = usize::try_from(self.free() - left).unwrap().min(chunk.len());
            if ballast.write_all(&chunk[..length]).is_err() {
                break;
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A process that is just ending may hold it for a moment.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_says_so_and_forgets_nothing() {
    let mut nodes = lay_out(3);
    let dir = nodes.layout.nodes[NODE].dir.clone();
    let made = nodes.folder().join("made");
    fs::rename(&dir, &made).unwrap();
    fs::create_dir(&dir).unwrap();
    let journal = nodes.layout.nodes[JOURNAL].dir.join("consensus");
    fs::create_dir(&journal).unwrap();
    let disks = Disk::mount(&dir, NODE_DISK).and_then(|disk| Ok((disk, Disk::mount(&journal, JOURNAL_DISK)?)));
    let (disk, journal) = match disks {
        Ok(disks) => disks,
        Err(why) => {
            println!("SKIPPED: a small disk can't be mounted here ({why})");
            return;
        }
    };
    copy(&made, &dir);
    story(&mut nodes, &disk, &journal).await;
}

async fn story(nodes: &mut Processes, disk: &Disk, journal: &Disk) {
    nodes.start_all().unwrap();
    nodes.until_ok(&ALL, PATIENCE).await.unwrap();
    let (ada, ben) = tokio::join!(person(nodes, "ada"), person(nodes, "ben"));
    // Ben as he was before he had read anything, with the key to which he is written.
    ben.lookup(&ada.identity(), PATIENCE).await.unwrap();
    ben.rotate_contact_key().await.unwrap();
    ben.close().await;
    drop(ben);
    let early = nodes.folder().join("early");
    copy(&nodes.folder().join("ben"), &early);
    let open = |folder: &Path| Client::open(folder, Some(b"secret")).unwrap();
    let ben = open(&nodes.folder().join("ben"));

    let traffic = Traffic::begin(&ada, &ben);
    traffic.goes_on(10).await;

    // Little room: the node stops before the disk is full.
    disk.fill(200 << 20);
    let line = last_line(&nodes.ended(NODE, PATIENCE).await.unwrap(), 1);
    assert!(line.contains("is full: make room"), "{line}");
    traffic.goes_on(10).await;
    // No room at all: it says so again.
    disk.fill(0);
    let line = refusal(nodes, NODE, 1).await;
    assert!(line.contains("is full: make room"), "{line}");
    disk.make_room();
    back(nodes, NODE).await;

    // From one moment to the next.
    traffic.goes_on(10).await;
    disk.fill(0);
    let line = last_line(&nodes.ended(NODE, PATIENCE).await.unwrap(), 1);
    assert!(line.contains("is full: make room"), "{line}");
    traffic.goes_on(10).await;
    disk.make_room();
    back(nodes, NODE).await;

    // Where the engine writes down what it is going to sign.
    traffic.goes_on(10).await;
    journal.fill(0);
    let line = last_line(&nodes.ended(JOURNAL, PATIENCE).await.unwrap(), 1);
    assert!(line.contains("is full: make room"), "{line}");
    traffic.goes_on(10).await;
    let line = refusal(nodes, JOURNAL, 1).await;
    assert!(line.contains("is full: make room"), "{line}");
    journal.make_room();
    back(nodes, JOURNAL).await;

    traffic.goes_on(10).await;
    let reports = traffic.reports();
    traffic.end(nodes).await;
    agree(nodes, &ALL).await;
    nobody_voted_twice(nodes, &[0, 1]);

    // Alone it still has every envelope for which it signed a receipt.
    for node in [0, 1, 2] {
        nodes.kill(node).unwrap();
    }
    let member = ada.network().nodes().index_of(&nodes.layout.nodes[NODE].key).unwrap();
    let reading = open(&early).receive().await.unwrap();
    assert!(
        !reading.complete && reading.refused.is_empty() && reading.caught.is_empty(),
        "{reading:?}"
    );
    let mut signed = 0;
    for report in &reports {
        if report.devices[0]
            .receipt
            .issuers
            .iter()
            .any(|issuer| issuer.member == member)
        {
            signed += 1;
            let has = reading
                .received
                .iter()
                .any(|received| received.message.id == report.message);
            assert!(has, "the node signed for message {} and has lost it", report.message);
        }
    }
    println!(
        "{} messages accepted, {signed} with a receipt of the node whose disk got full",
        reports.len()
    );
    assert!(signed > 0);
}

/// The node runs again and catches up.
async fn back(nodes: &mut Processes, node: usize) {
    nodes.start(node).unwrap();
    nodes.until_ok(&[node], PATIENCE).await.unwrap();
    let tip = height(nodes, 0).await;
    nodes
        .until_health(&[node], "has caught up", PATIENCE, |health| health.height >= tip)
        .await
        .unwrap();
}
