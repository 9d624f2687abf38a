//! A conversation with a Tabletalk server: what a client does, step by step, and what it is told.

use std::env::var;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use tabletalk_conversation::types::{
    Change, ChangeKind, Chat, ChatType, FriendStatus, Message, MessagePage, NewChatType, Problem,
};
use tabletalk_conversation::{Client, Error};
use uuid::Uuid;

fn client(token: &str) -> Result<Client> {
    let url = var("TABLETALK_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let token = var(token).context("set ALICE_TOKEN and BOB_TOKEN")?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse()?)]);
    Ok(Client::new_with_client(&url, reqwest::Client::builder().default_headers(headers).build()?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (alice, bob) = (client("ALICE_TOKEN")?, client("BOB_TOKEN")?);
    let me = alice.get_me().send().await?.into_inner();
    let other = bob.get_me().send().await?.into_inner();

    // friends: one asks, the other agrees
    alice.add_friend().user_id(other.id).send().await?;
    let friend = bob.add_friend().user_id(me.id).send().await?;
    ensure!(friend.status == FriendStatus::Friends);
    println!("{} and {} are {}", other.display_name, friend.name.as_deref().unwrap_or_default(), friend.status);

    // their direct chat: the one there is, or a new one
    let chat = alice.create_chat().body_map(|chat| chat.type_(NewChatType::Direct).participant_ids([other.id])).send().await?;
    ensure!(chat.type_ == ChatType::Direct);
    println!("{} opens the chat with {}", me.display_name, chat.name);

    // sync: what changed in all chats since a position, until there is no more
    let (_, position) = sync(&bob, None).await?;

    // send: with an id of one's own, sending again is safe
    let first = send(&alice, &chat, "Are you coming to the concert?", Uuid::new_v4()).await?;
    let second = send(&alice, &chat, "It begins at eihgt.", Uuid::new_v4()).await?;
    let third = send(&alice, &chat, "I have two tickets.", Uuid::new_v4()).await?;
    ensure!(send(&alice, &chat, &third.text, third.id).await?.seq == third.seq);
    println!("{} sends three messages", me.display_name);

    // page: newest first, on from a cursor
    let newest = page(&bob, &chat, 2, None).await?;
    ensure!(newest.data.iter().map(|message| message.id).eq([third.id, second.id]));
    let older = page(&bob, &chat, 2, newest.next_cursor).await?;
    ensure!(older.data[0].text == first.text);
    println!("{} reads them, two a page", other.display_name);

    // edit: one's own
    let edit = alice.edit_message().chat_id(chat.id).message_id(second.id);
    let edited = edit.body_map(|edit| edit.text("It begins at eight.")).send().await?;
    ensure!(edited.edited_at.is_some() && edited.rev > second.rev);
    println!("{} edits: {}", me.display_name, edited.text);

    // somebody else's is refused, and the problem says by which rule
    let edit = bob.edit_message().chat_id(chat.id).message_id(second.id);
    let problem = refused(edit.body_map(|edit| edit.text("It never begins.")).send().await)?;
    ensure!(problem.code == "messages_are_edited_by_their_sender" && problem.rule.as_deref() == Some("messages.3"));
    println!("{} may not: {}, {}", other.display_name, problem.rule.unwrap_or_default(), problem.title);

    // react
    let liked = bob.add_reaction().chat_id(chat.id).message_id(second.id).emoji("👍").send().await?.into_inner();
    let [reaction] = &liked.reactions[..] else { bail!("there is more than one reaction") };
    ensure!((reaction.emoji.as_str(), reaction.count, reaction.mine) == ("👍", 1, true));
    println!("{} reacts: {}", other.display_name, reaction.emoji);

    // delete
    alice.delete_message().chat_id(chat.id).message_id(third.id).send().await?;
    ensure!(page(&bob, &chat, 1, None).await?.data[0].id == second.id);
    println!("{} deletes one", me.display_name);

    // what a device missed that was away meanwhile: everything as it is now
    let (changes, _) = sync(&bob, Some(position)).await?;
    let is_second = |change: &&Change| change.message.as_ref().is_some_and(|message| message.id == second.id);
    let created = changes.iter().find(is_second).context("nothing is told of what was sent")?;
    ensure!(created.kind == ChangeKind::MessageCreated);
    let text = created.message.as_ref().map(|message| &message.text);
    ensure!(text == Some(&edited.text));
    let gone =
        changes.iter().find(|change| change.message_id == Some(third.id)).context("nothing is told of what was deleted")?;
    ensure!(gone.kind == ChangeKind::MessageDeleted);
    println!("{} catches up: {}", other.display_name, edited.text);

    // the list of chats, with what is unread
    let unread = listed(&bob, &chat).await?;
    ensure!(unread.unread_count == 2);
    ensure!(unread.last_message.is_some_and(|message| message.text == edited.text));
    bob.mark_read().chat_id(chat.id).body_map(|marker| marker.seq(second.seq)).send().await?;
    ensure!(listed(&bob, &chat).await?.unread_count == 0);
    println!("{} had {} unread messages in {}, and now none", other.display_name, unread.unread_count, unread.name);
    Ok(())
}

async fn send(client: &Client, chat: &Chat, text: &str, id: Uuid) -> Result<Message> {
    Ok(client.send_message().chat_id(chat.id).body_map(|message| message.id(id).text(text)).send().await?.into_inner())
}

async fn page(client: &Client, chat: &Chat, limit: u32, cursor: Option<String>) -> Result<MessagePage> {
    let mut list = client.list_messages().chat_id(chat.id).limit(limit);
    if let Some(cursor) = cursor {
        list = list.cursor(cursor);
    }
    Ok(list.send().await?.into_inner())
}

async fn sync(client: &Client, mut since: Option<String>) -> Result<(Vec<Change>, String)> {
    let mut changes = Vec::new();
    loop {
        let mut sync = client.sync_chats();
        if let Some(since) = since {
            sync = sync.since(since);
        }
        let answer = sync.send().await?.into_inner();
        changes.extend(answer.data);
        if !answer.more {
            return Ok((changes, answer.position));
        }
        since = Some(answer.position);
    }
}

async fn listed(client: &Client, chat: &Chat) -> Result<Chat> {
    let chats = client.list_chats().type_(ChatType::Direct).send().await?.into_inner();
    chats.data.into_iter().find(|listed| listed.id == chat.id).context("the chat is not in the list")
}

/// What a refused operation answered.
fn refused<T>(answer: Result<T, Error<Problem>>) -> Result<Problem> {
    match answer {
        Err(Error::ErrorResponse(problem)) => Ok(problem.into_inner()),
        Err(error) => Err(error.into()),
        Ok(_) => bail!("it was not refused"),
    }
}
