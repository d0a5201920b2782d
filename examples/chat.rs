//! Conversations in a program of yours: four nodes on loopback, two people in a group, and a content that only this
//! program knows.

use std::{error::Error, path::Path, time::Duration};
use tokenim_client::chat::{
    Chat, ChatEvent, Content, ConversationId, Event, Running,
    content::{ExtensionBody, ExtensionName},
};
use tokenim_client::{Argon2Cost, Client, NetworkConfig};
use tokenim_testkit::LocalNetwork;

const PATIENCE: Duration = Duration::from_secs(60);
/// What this program sends beside texts. The name begins with a domain of whoever has thought of it.
const DICE: &str = "org.example/dice";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let network = LocalNetwork::start(4, 1, |_, _| {})?;
    let config = network.layout.network.clone();
    network.block_on(async { tokio::time::timeout(PATIENCE, talk(folder.path(), config)).await? })
}

async fn talk(folder: &Path, network: NetworkConfig) -> Result<(), Box<dyn Error>> {
    let (ada, _ada_runs) = person(&folder.join("ada"), &network).await?;
    let (ben, _ben_runs) = person(&folder.join("ben"), &network).await?;
    let mut heard = ben.events();

    // What is asked for is kept before a call returns; the rest comes about by itself, also after the next start.
    let group = ada.create_group("dice", vec![ben.client().identity()], None).await?;
    ada.send(group, Content::text("your turn, after this")?).await?;
    let throw = Content::Extension {
        name: ExtensionName::new(DICE)?,
        required: true,
        body: ExtensionBody::new([6, 1])?,
    };
    ada.send(group, throw).await?;

    let mut left = 2;
    while left > 0 {
        match heard.next().await.ok_or("Ben's client was closed")? {
            ChatEvent::Session(Event::Message(conversation, order)) => {
                let message = ben.messages(conversation, Some(order), 1)?.pop();
                match message.and_then(|message| message.content) {
                    Some(Content::Text(text)) => println!("Ben reads {:?}.", text.as_str()),
                    Some(Content::Extension { body, .. }) => println!("Ben sees {:?} thrown.", body.as_slice()),
                    other => println!("Ben gets {other:?}."),
                }
                left -= 1;
            }
            ChatEvent::Session(Event::Refused { author, why, .. }) => println!("What {author} sent is refused: {why}."),
            // A program that reads too slowly is told, and looks at the conversations again.
            ChatEvent::Missed(missed) => println!("{missed} events were missed."),
            _ => {}
        }
    }
    show(&ben, group)?;
    for chat in [ada, ben] {
        chat.client().close().await;
    }
    Ok(())
}

async fn person(folder: &Path, network: &NetworkConfig) -> Result<(Chat, Running), Box<dyn Error>> {
    let (client, _words) = Client::create(folder, network.clone(), b"a passphrase", Argon2Cost::MINIMUM)?;
    client.register().await?;
    let chat = client.chat()?;
    chat.know(&[DICE]);
    let running = chat.run()?;
    // Until others can invite this person.
    chat.settle(PATIENCE).await;
    Ok((chat, running))
}

fn show(chat: &Chat, group: ConversationId) -> Result<(), Box<dyn Error>> {
    let info = chat.conversation(group)?;
    println!(
        "{:?} has {} members, in epoch {}.",
        info.name,
        info.members.len(),
        info.epoch
    );
    Ok(())
}
