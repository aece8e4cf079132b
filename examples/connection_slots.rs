//! A pool of connections that nobody waits in line for, and one connection that many share in turn.
//!
//! ```text
//! cargo run --example connection_slots
//! ```
//!
//! The server, in the same program, answers each line with that line. It is told to be trouble: `slow` it answers after a minute,
//! `break` with a closed connection. Over it stand two ways to use connections. *Slots*: each caller has a connection to
//! himself; if there is none in his slot, he connects himself, so that a slow connect is his alone; if all are out he is
//! told so at once. *One line*: commands of all callers over one connection, in turn. A command that is late costs the
//! connection, since its answer may come later, when somebody else listens; one that is late while it waits only goes.

use plimsoll::dispatch::{Checkout, Lease, SlotPick};
use plimsoll::prelude::*;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A connection: a line there, a line back.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(server: &Server) -> io::Result<Self> {
        server.opened.fetch_add(1, Relaxed);
        Ok(Connection(BufReader::new(TcpStream::connect(server.at).await?)))
    }

    async fn call(&mut self, line: &str) -> io::Result<String> {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        match self.0.read_line(&mut answer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(answer.trim_end().into()),
        }
    }
}

struct Server {
    at: std::net::SocketAddr,
    opened: AtomicU32,
}

/// HttpOptions lines until the program ends.
async fn serve() -> io::Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Server { at: listener.local_addr()?, opened: AtomicU32::new(0) };
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(BufReader::new(socket)));
        }
    });
    Ok(server)
}

async fn answer(mut socket: BufReader<TcpStream>) -> io::Result<()> {
    let mut line = String::new();
    while socket.read_line(&mut line).await? > 0 {
        if line.starts_with("break") {
            return Ok(());
        }
        if line.starts_with("slow") {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        socket.get_mut().write_all(line.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

type Slots = Dispatch<Connection>;

/// A connection from a slot; opened by the caller, in his own time, if the slot has none.
async fn connection<'a>(slots: &'a Slots, server: &Server) -> Result<Lease<Connection, &'a Slots>, Error> {
    match slots.checkout() {
        Checkout::Reuse(lease) => Ok(lease),
        Checkout::Make(vacant) => Ok(vacant.make(Connection::open(server)).await?),
        Checkout::Busy(no) => Err(no.into()),
    }
}

/// One call. What was cancelled in the middle of a call has half an answer in it, and so has what failed: neither is
/// used again. The pool is built with `keep_dropped(false)`, so only what is put back stays.
async fn call(slots: &Slots, server: &Server, line: &str) -> Result<String, Error> {
    let mut connection = connection(slots, server).await?;
    match connection.call(line).await {
        Ok(answer) => {
            connection.put_back();
            Ok(answer)
        }
        Err(error) => {
            connection.discard();
            Err(error.into())
        }
    }
}

async fn in_slots(server: &Server) -> Result<(), Error> {
    let slots = Slots::builder()
        .name("slots")
        .slots(4)
        .probes(4)
        .pick(SlotPick::Lowest)
        .keep_dropped(false)
        .build()?;

    // One is very slow to connect, and holds a slot meanwhile; the others have theirs.
    let Checkout::Make(vacant) = slots.checkout() else { return Err("every slot is empty".into()) };
    let (connected, connects) = oneshot::channel::<()>();
    let slow = vacant.make(async {
        let _ = connects.await;
        Connection::open(server).await
    });
    let others = async {
        for n in 0..100 {
            let line = format!("order {n}");
            assert_eq!(call(&slots, server, &line).await?, line);
        }
        println!("100 calls while another connects, over {} connection", server.opened.load(Relaxed));
        assert_eq!(server.opened.load(Relaxed), 1);
        let _ = connected.send(());
        Ok::<_, Error>(())
    };
    let (slow, others) = tokio::join!(slow, others);
    others?;
    slow?.put_back();

    // A connection breaks: that call fails, and the next one opens another.
    assert!(call(&slots, server, "break").await.is_err());
    assert_eq!((slots.in_use(), slots.idle()), (0, 1));
    assert_eq!(call(&slots, server, "again").await?, "again");

    // A caller gives up in the middle of a call: nobody else reads that answer.
    assert!(timeout(Duration::from_millis(10), call(&slots, server, "slow one")).await.is_err());
    for n in 0..20 {
        let line = format!("mine {n}");
        assert_eq!(call(&slots, server, &line).await?, line);
    }

    // More callers than slots: four are served, and the others know at once.
    let (mut served, mut busy) = (0, 0);
    let slots = Arc::new(slots);
    let mut held = vec![];
    for _ in 0..20 {
        match connection(&slots, server).await {
            Ok(lease) => held.push(lease),
            Err(_) => busy += 1,
        }
    }
    for mut lease in held {
        lease.call("late").await?;
        lease.put_back();
        served += 1;
    }
    println!("{served} of 20 at once were served, {busy} were told busy");
    assert_eq!((served, busy), (4, 16));

    assert_eq!(slots.close().len(), 4);
    slots.drained().await;
    Ok(())
}

/// Commands in turn over one connection, each with a time-out of its own that counts from when it is given.
struct OneLine {
    commands: Mailbox<Command>,
}

struct Command {
    line: String,
    answer: oneshot::Sender<io::Result<String>>,
}

impl OneLine {
    fn new(server: Arc<Server>) -> Result<Self, Error> {
        // So many may wait; who comes after them is told so at once.
        let commands =
            Mailbox::builder().name("line").capacity(10_000).discipline(Discipline::KeepOldest).build()?;
        tokio::spawn(in_turn(commands.inbox(), server));
        Ok(OneLine { commands })
    }

    async fn call(&self, line: String, longest: Duration) -> Result<String, Error> {
        let (answer, answered) = oneshot::channel();
        if self.commands.offer(Command { line, answer }).is_err() {
            return Err("too many wait".into());
        }
        // Dropped by the time-out, `answered` tells the line that nobody listens any more.
        Ok(timeout(longest, answered).await???)
    }
}

/// The one who has the connection.
async fn in_turn(mut commands: Inbox<Command>, server: Arc<Server>) {
    let mut connection: Option<Connection> = None;
    while let Some(Command { line, mut answer }) = commands.take_wait().await {
        // It was late while it waited: only it goes.
        if answer.is_closed() {
            continue;
        }
        let work = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(&server).await?,
            };
            let said = open.call(&line).await?;
            connection = Some(open); // only what has answered in full is used again
            Ok(said)
        };
        let said = tokio::select! {
            said = work => said,
            // It is late while it runs: the connection goes with it.
            () = answer.closed() => continue,
        };
        let _ = answer.send(said);
    }
}

async fn over_one_line(server: Arc<Server>) -> Result<(), Error> {
    let before = server.opened.load(Relaxed);
    let one = Arc::new(OneLine::new(server.clone())?);
    let longest = Duration::from_secs(60);

    // A thousand at once: each has its own answer.
    let all: Vec<_> = (0..1_000)
        .map(|n| {
            let one = one.clone();
            tokio::spawn(async move {
                let line = format!("number {n}");
                assert_eq!(one.call(line.clone(), longest).await?, line);
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in all {
        task.await??;
    }
    let opened = server.opened.load(Relaxed) - before;
    println!("1,000 commands in turn over {opened} connection");
    assert_eq!(opened, 1);

    // The first is late while it runs, the second while it waits behind it, and the third has its own answer.
    let short = Duration::from_millis(200);
    let (first, second, third) = tokio::join!(
        one.call("slow".into(), short),
        one.call("in vain".into(), Duration::ZERO),
        one.call("mine".into(), longest),
    );
    assert!(first.is_err() && second.is_err());
    assert_eq!(third?, "mine");
    let opened = server.opened.load(Relaxed) - before;
    println!("a late one cost its connection, one that waited in vain did not: {opened} connections in all");
    assert_eq!(opened, 2);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Arc::new(serve().await?);
    in_slots(&server).await?;
    over_one_line(server).await
}
