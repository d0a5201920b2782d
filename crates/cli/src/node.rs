//! `tokenim node`.

use std::io::Read as _;

use tokenim_node::{Folder, FolderError, LogFormat, Node};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::args::NodeArgs;
use crate::error::CliError;
use crate::{output, secret, signals};

pub(crate) async fn run(args: &NodeArgs) -> Result<(), CliError> {
    let passphrase = secret::given(&args.passphrase, secret::NODE)?;
    let folder = match Folder::open(&args.dir, passphrase.as_ref().map(|passphrase| passphrase.as_bytes())) {
        Err(FolderError::Key { .. }) if passphrase.is_none() => {
            let passphrase = secret::existing(&args.passphrase, secret::NODE)?;
            Folder::open(&args.dir, Some(passphrase.as_bytes()))?
        }
        other => other?,
    };
    log(&folder)?;
    let stdin = args.until_stdin_closes.then(stdin_closed);
    let node = Node::start(folder).await?;
    output::line(format!("node {} listens at {}", node.node(), node.listen_address()))?;
    if let Some(http) = node.http_address() {
        output::line(format!("http://{http}/health and http://{http}/metrics show how it is"))?;
    }
    let orphaned = async {
        match stdin {
            // An error means that the reading thread is gone, and so is what it read from.
            Some(closed) => drop(closed.await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = node.closed() => return Ok(ended?),
        () = signals::stopped() => {}
        () = orphaned => {}
    }
    Ok(node.stop().await?)
}

/// Begins the log as the folder's configuration says.
fn log(folder: &Folder) -> Result<(), CliError> {
    let section = &folder.config.log;
    let filter = EnvFilter::try_new(&section.level).map_err(|error| {
        CliError::local(format!(
            "log.level = \"{}\" is no log filter ({error}): correct it in config.toml",
            section.level
        ))
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match section.format {
        LogFormat::Json => tracing::subscriber::set_global_default(logs.json().finish()),
        _ => tracing::subscriber::set_global_default(logs.with_ansi(false).finish()),
    };
    set.map_err(|error| CliError::local(format!("the log could not be begun: {error}")))?;
    // A line of the log like any other; what it means for the node is told when it stops.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "a part panicked");
    }));
    Ok(())
}

/// Tells when standard input ends.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (tell, closed) = oneshot::channel();
    // A thread of its own, since reading can't be given up; it ends with the process.
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
        // Nobody listens any more: the node is stopping already.
        let _ = tell.send(());
    });
    closed
}
