// SPDX-License-Identifier: Apache-2.0
//! The Rust crate `centrifuge-client` (its own code base, over `tokio-tungstenite`) as weftcast's client.
//!
//!     clients HOST:PORT API_KEY [NAME=TOKEN ...] [CASE ...]      prints TAP
//!
//! Tokens come from the caller: NAME is the user, or `server-side` and `channel` for the cases that take them.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use centrifuge::{
    Client, ClientEvent, Error, EventStream, HistoryOptions, Protocol, ProxyConfig, StreamPosition, Subscription,
    SubscriptionBuilder, SubscriptionEvent,
};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(8);

struct Setting {
    host: String,
    key: String,
    tokens: HashMap<String, String>,
}
type With = Arc<Setting>;

/// Events in the order of their coming. A task takes them from the stream, as the client waits for whoever has one.
struct Events<T>(mpsc::UnboundedReceiver<T>);

impl<T: Debug + Send + 'static> Events<T> {
    fn of(mut stream: EventStream<T>) -> Self {
        let (to, from) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                if to.send(event).is_err() {
                    break;
                }
            }
        });
        Self(from)
    }

    /// The next event from which `pick` takes something.
    async fn next<R>(&mut self, what: &str, pick: impl Fn(&T) -> Option<R>) -> R {
        let mut seen = Vec::new();
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                let event = self.0.recv().await.expect("the stream has ended");
                if let Some(got) = pick(&event) {
                    return got;
                }
                seen.push(event);
            }
        });
        match found.await {
            Ok(got) => got,
            Err(_) => panic!("no {what} within {LIMIT:?}, but {seen:?}"),
        }
    }
}

impl Events<SubscriptionEvent> {
    async fn publication(&mut self) -> (u64, String) {
        self.next("publication", |e| match e {
            SubscriptionEvent::Publication(p) => Some((p.offset, text(&p.data))),
            _ => None,
        })
        .await
    }

    /// (was_recovering, recovered, position) of the next `subscribed`.
    async fn subscribed(&mut self) -> (bool, bool, Option<StreamPosition>) {
        self.next("subscribed", |e| match e {
            SubscriptionEvent::Subscribed(s) => Some((s.was_recovering, s.recovered, s.stream_position.clone())),
            _ => None,
        })
        .await
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn server_code<T: Debug>(result: Result<T, Error>) -> u32 {
    match result {
        Err(Error::Server(e)) => e.code,
        other => panic!("no error of the server: {other:?}"),
    }
}

async fn api(with: &With, method: &str, body: &str) {
    let mut stream = tokio::net::TcpStream::connect(&with.host).await.expect("connecting to the API");
    let request = format!(
        "POST /api/{method} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        with.host, with.key, body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("asking the API");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the API's answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("{\"result\":"), "{method}: {answer}");
}

async fn connected(with: &With, token: Option<&str>) -> (Client, Events<ClientEvent>) {
    let mut builder = Client::builder(format!("ws://{}/connection/websocket", with.host))
        .protocol(Protocol::Json)
        .proxy(ProxyConfig::None)
        .timeout(LIMIT)
        .min_reconnect_delay(Duration::from_millis(300))
        .max_reconnect_delay(Duration::from_millis(400));
    if let Some(name) = token {
        builder = builder.token(with.tokens[name].clone());
    }
    let client = builder.build().expect("a client");
    let events = Events::of(client.events());
    client.connect().expect("connect");
    client.ready(Some(LIMIT)).await.expect("connected");
    (client, events)
}

async fn subscribed(builder: SubscriptionBuilder) -> (Subscription, Events<SubscriptionEvent>) {
    let sub = builder.build().expect("a subscription");
    let events = Events::of(sub.events());
    sub.subscribe();
    sub.ready(Some(LIMIT)).await.expect("subscribed");
    (sub, events)
}

async fn publish_and_receive(with: With) {
    let (client, mut events) = connected(&with, None).await;
    let id = events
        .next("connected", |e| match e {
            ClientEvent::Connected(c) => Some(c.client_id.clone()),
            _ => None,
        })
        .await;
    let (sub, mut events) = subscribed(client.new_subscription("rs-own")).await;
    sub.publish("{ \"text\" : \"hell\u{f6}\", \"n\":1.50e+2 }").await.expect("publish");
    let publisher = events
        .next("publication", |e| match e {
            SubscriptionEvent::Publication(p) => {
                assert_eq!(text(&p.data), "{ \"text\" : \"hell\u{f6}\", \"n\":1.50e+2 }");
                Some(p.info.clone().expect("who published"))
            }
            _ => None,
        })
        .await;
    assert_eq!((publisher.user.as_str(), publisher.client), ("", id));
    api(&with, "publish", r#"{"channel":"rs-own","data":[1,null],"tags":{"a":"b"}}"#).await;
    let tags = events
        .next("publication", |e| match e {
            SubscriptionEvent::Publication(p) if text(&p.data) == "[1,null]" => Some(p.tags.clone()),
            _ => None,
        })
        .await;
    assert_eq!(tags, HashMap::from([("a".to_string(), "b".to_string())]));
    client.publish("rs-own", "false").await.expect("publish without a subscription");
    assert_eq!(events.publication().await.1, "false");
    sub.unsubscribe();
    client.close().await;
}

async fn presence_join_leave(with: With) {
    let (a, _) = connected(&with, Some("a")).await;
    let (sub_a, mut events) = subscribed(a.new_subscription("pres:rs").join_leave(true)).await;
    let (b, _) = connected(&with, Some("b")).await;
    let (sub_b, _) = subscribed(b.new_subscription("pres:rs")).await;
    let info = events
        .next("join", |e| match e {
            SubscriptionEvent::Join(j) if j.user == "b" => Some(j.conn_info.clone()),
            _ => None,
        })
        .await;
    assert_eq!(text(&info.expect("info of the token")), "{\"n\": 2}");
    let mut users: Vec<_> = sub_a.presence().await.expect("presence").clients.into_values().map(|i| i.user).collect();
    users.sort();
    assert_eq!(users, ["a", "b"]);
    let stats = sub_a.presence_stats().await.expect("presence_stats");
    assert_eq!((stats.num_clients, stats.num_users), (2, 2));
    sub_b.unsubscribe();
    events
        .next("leave", |e| match e {
            SubscriptionEvent::Leave(l) if l.user == "b" => Some(()),
            _ => None,
        })
        .await;
    b.close().await;
    a.close().await;
}

async fn history(with: With) {
    let (client, _) = connected(&with, None).await;
    let (sub, mut events) = subscribed(client.new_subscription("hist:rs")).await;
    let (_, _, position) = events.subscribed().await;
    let epoch = position.expect("a position").epoch;
    for i in 1..=3 {
        sub.publish(i.to_string()).await.expect("publish");
    }
    let all = sub.history(HistoryOptions::new().all()).await.expect("history");
    let got: Vec<_> = all.publications.iter().map(|p| (p.offset, text(&p.data))).collect();
    assert_eq!(got, [(1, "1".to_string()), (2, "2".to_string()), (3, "3".to_string())]);
    assert_eq!((all.offset, &all.epoch), (3, &epoch));
    let since = HistoryOptions::new().limit(10).since(StreamPosition::new(1, epoch.clone()));
    let got: Vec<_> = sub.history(since).await.expect("history").publications.iter().map(|p| p.offset).collect();
    assert_eq!(got, [2, 3]);
    let back = HistoryOptions::new().limit(2).reverse(true);
    let got: Vec<_> = sub.history(back).await.expect("history").publications.iter().map(|p| p.offset).collect();
    assert_eq!(got, [3, 2]);
    let lost = HistoryOptions::new().limit(1).since(StreamPosition::new(1, "none"));
    assert_eq!(server_code(sub.history(lost).await), 112);
    client.close().await;
}

async fn errors(with: With) {
    let (client, mut events) = connected(&with, None).await;
    assert_eq!(server_code(client.publish("deny:rs", "{}").await), 103);
    assert_eq!(server_code(client.publish("nons:rs", "{}").await), 102);
    assert_eq!(server_code(client.presence("rs-none").await), 108);
    assert_eq!(server_code(client.rpc("none", "{}").await), 108);
    let denied = client.new_subscription("deny:rs").build().expect("a subscription");
    let mut denied_events = Events::of(denied.events());
    denied.subscribe();
    let code = denied_events
        .next("unsubscribed", |e| match e {
            SubscriptionEvent::Unsubscribed(u) => Some(u.code),
            _ => None,
        })
        .await;
    assert_eq!(code, 103);
    client.close().await;
    while let Ok(event) = events.0.try_recv() {
        assert!(!matches!(event, ClientEvent::Error(_)), "{event:?}");
    }
}

async fn subscription_with_a_token(with: With) {
    let (client, _) = connected(&with, Some("a")).await;
    let (_, mut events) = subscribed(client.new_subscription("deny:token").token(with.tokens["channel"].clone())).await;
    api(&with, "publish", r#"{"channel":"deny:token","data":7}"#).await;
    assert_eq!(events.publication().await.1, "7");
    client.close().await;
}

async fn server_side_subscription(with: With) {
    let (client, mut events) = connected(&with, Some("server-side")).await;
    let recoverable = events
        .next("subscription by the server", |e| match e {
            ClientEvent::ServerSubscribed(s) if s.channel == "hist:rs-srv" => Some(s.info.recoverable),
            _ => None,
        })
        .await;
    assert!(recoverable);
    api(&with, "publish", r#"{"channel":"hist:rs-srv","data":{"z":1}}"#).await;
    let data = |e: &ClientEvent| match e {
        ClientEvent::ServerPublication(p) if p.channel == "hist:rs-srv" => Some(text(&p.data)),
        _ => None,
    };
    assert_eq!(events.next("publication", data).await, "{\"z\":1}");
    api(&with, "disconnect", r#"{"user":"server-side","disconnect":{"code":4001,"reason":"back"}}"#).await;
    api(&with, "publish", r#"{"channel":"hist:rs-srv","data":{"z":2}}"#).await;
    assert_eq!(events.next("recovered publication", data).await, "{\"z\":2}");
    api(&with, "subscribe", r#"{"user":"server-side","channel":"rs-more"}"#).await;
    api(&with, "unsubscribe", r#"{"user":"server-side","channel":"rs-more"}"#).await;
    events
        .next("end of a subscription", |e| match e {
            ClientEvent::ServerUnsubscribed(u) if u.channel == "rs-more" => Some(()),
            _ => None,
        })
        .await;
    client.close().await;
}

async fn disconnected_by_the_server(with: With) {
    let (client, mut events) = connected(&with, Some("gone")).await;
    api(&with, "disconnect", r#"{"user":"gone"}"#).await;
    let why = events
        .next("disconnected", |e| match e {
            ClientEvent::Disconnected(d) => Some((d.code, d.reason.clone())),
            _ => None,
        })
        .await;
    assert_eq!(why, (3503, "force disconnect".to_string()));
    client.close().await;
}

async fn reconnects_and_recovers(with: With) {
    let (client, mut events) = connected(&with, Some("back")).await;
    let (_, mut sub_events) = subscribed(client.new_subscription("hist:rs-cut")).await;
    sub_events.subscribed().await;
    api(&with, "publish", r#"{"channel":"hist:rs-cut","data":1}"#).await;
    assert_eq!(sub_events.publication().await, (1, "1".to_string()));
    api(&with, "disconnect", r#"{"user":"back","disconnect":{"code":4001,"reason":"back"}}"#).await;
    events
        .next("connecting", |e| match e {
            ClientEvent::Connecting(c) if c.code == 4001 => Some(()),
            _ => None,
        })
        .await;
    for i in [2, 3] {
        api(&with, "publish", &format!(r#"{{"channel":"hist:rs-cut","data":{i}}}"#)).await;
    }
    let (was_recovering, recovered, _) = sub_events.subscribed().await;
    assert!(was_recovering && recovered);
    for i in [2, 3] {
        assert_eq!(sub_events.publication().await, (i, i.to_string()));
    }
    client.close().await;
}

async fn resumes_from_a_kept_position(with: With) {
    let (client, _) = connected(&with, None).await;
    let (sub, mut events) = subscribed(client.new_subscription("hist:rs-kept")).await;
    let position = events.subscribed().await.2.expect("a position");
    sub.publish("1").await.expect("publish");
    client.close().await;
    let (client, _) = connected(&with, None).await;
    let since = StreamPosition::new(0, position.epoch);
    let (_, mut events) = subscribed(client.new_subscription("hist:rs-kept").recoverable(true).since(since)).await;
    let (was_recovering, recovered, _) = events.subscribed().await;
    assert!(was_recovering && recovered);
    assert_eq!(events.publication().await, (1, "1".to_string()));
    let wrong = client.new_subscription("hist:rs-other").recoverable(true).since(StreamPosition::new(5, "none"));
    let (_, mut events) = subscribed(wrong).await;
    let (was_recovering, recovered, _) = events.subscribed().await;
    assert!(was_recovering && !recovered);
    client.close().await;
}

type Case = fn(With) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), |with| Box::pin($name(with)))),*]
    };
}
const CASES: &[(&str, Case)] = cases![
    publish_and_receive,
    presence_join_leave,
    history,
    errors,
    subscription_with_a_token,
    server_side_subscription,
    disconnected_by_the_server,
    reconnects_and_recovers,
    resumes_from_a_kept_position,
];

fn main() {
    let mut args = std::env::args().skip(1);
    let host = args.next().expect("HOST:PORT");
    let key = args.next().expect("API_KEY");
    let (tokens, wanted): (Vec<_>, Vec<_>) = args.partition(|a| a.contains('='));
    let tokens = tokens.iter().filter_map(|t| t.split_once('=')).map(|(n, t)| (n.to_string(), t.to_string())).collect();
    let with = Arc::new(Setting { host, key, tokens });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cases: Vec<_> = CASES.iter().filter(|c| wanted.is_empty() || wanted.iter().any(|w| w == c.0)).collect();
    let mut failed = 0;
    println!("TAP version 13\n1..{}", cases.len());
    for (number, (name, case)) in cases.iter().enumerate() {
        let task = case(with.clone());
        let ended = runtime.block_on(async { tokio::spawn(tokio::time::timeout(Duration::from_secs(60), task)).await });
        let good = matches!(ended, Ok(Ok(())));
        failed += i32::from(!good);
        println!("{} {} - {name}", if good { "ok" } else { "not ok" }, number + 1);
    }
    std::process::exit(i32::from(failed > 0));
}
