//! Two ways to use TCP connections: a pool that never queues, and one connection used in turn.
//!
//! ```text
//! cargo run --example connection_slots
//! ```
//!
//! The server, in the same program, answers each line with that line. It answers `slow` after a
//! minute, and closes the connection at `break`.
//!
//! - *Pool*: each caller checks out a connection of its own. If the slot has none, the caller
//!   connects, so a slow connect delays that caller only. If all slots are in use, the caller is
//!   rejected at once.
//! - *In turn*: the commands of all callers wait in a mailbox for one connection. A command that is
//!   late while it waits is skipped. If one is late while it runs, its connection is closed:
//!   the answer may still arrive, and would be read as the answer to the next command.

use plimsoll::dispatch::{Checkout, Lease, SlotPick};
use plimsoll::prelude::*;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Arc::new(serve().await?);
    use_pool(&server).await?;
    use_in_turn(server).await
}

// The server and a connection to it.

struct Server {
    address: SocketAddr,
    /// The number of connections that were opened.
    opened: AtomicU32,
}

/// Starts a server that runs until the program ends.
async fn serve() -> io::Result<Server> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Server { address: listener.local_addr()?, opened: AtomicU32::new(0) };
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

/// A connection that answers each line with a line.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(server: &Server) -> io::Result<Self> {
        server.opened.fetch_add(1, Relaxed);
        Ok(Connection(BufReader::new(TcpStream::connect(server.address).await?)))
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

// A pool of connections.

type Pool = Dispatch<Connection>;

/// Checks out a connection, or opens one if the slot has none.
async fn checkout<'a>(pool: &'a Pool, server: &Server) -> Result<Lease<Connection, &'a Pool>, Error> {
    match pool.checkout() {
        Checkout::Reuse(connection) => Ok(connection),
        Checkout::Make(vacant) => Ok(vacant.make(Connection::open(server)).await?),
        Checkout::Busy(rejected) => Err(rejected.into()),
    }
}

/// Makes one call.
///
/// The pool reuses only connections that are put back. If this future is dropped in the middle of
/// a call, the connection, with half an answer in it, is closed.
async fn call(pool: &Pool, server: &Server, line: &str) -> Result<String, Error> {
    let mut connection = checkout(pool, server).await?;
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

async fn use_pool(server: &Server) -> Result<(), Error> {
    let pool = Pool::builder().name("connections").slots(4).pick(SlotPick::Lowest).build()?;

    // One caller takes long to connect, and holds its slot meanwhile. It delays no other caller.
    let Checkout::Make(vacant) = pool.checkout() else { return Err("a new pool has no connections".into()) };
    let (connect, connecting) = oneshot::channel::<()>();
    let slow = vacant.make(async {
        let _ = connecting.await;
        Connection::open(server).await
    });
    let others = async {
        for n in 0..100 {
            let line = format!("order {n}");
            assert_eq!(call(&pool, server, &line).await?, line);
        }
        println!(
            "100 calls while another caller connects: {} connection opened",
            server.opened.load(Relaxed)
        );
        assert_eq!(server.opened.load(Relaxed), 1);
        let _ = connect.send(());
        Ok::<_, Error>(())
    };
    let (slow, others) = tokio::join!(slow, others);
    others?;
    slow?.put_back();

    // A connection breaks. That call fails, and its slot is empty for the next caller.
    assert!(call(&pool, server, "break").await.is_err());
    assert_eq!((pool.in_use(), pool.idle()), (0, 1));
    assert_eq!(call(&pool, server, "again").await?, "again");

    // A caller gives up in the middle of a call. No other caller reads its answer.
    assert!(timeout(Duration::from_millis(10), call(&pool, server, "slow")).await.is_err());
    for n in 0..20 {
        let line = format!("mine {n}");
        assert_eq!(call(&pool, server, &line).await?, line);
    }

    // More callers than slots. Four are served, and the others are rejected at once.
    let (mut leases, mut rejected) = (vec![], 0);
    for _ in 0..20 {
        match checkout(&pool, server).await {
            Ok(lease) => leases.push(lease),
            Err(_) => rejected += 1,
        }
    }
    let served = leases.len();
    for mut lease in leases {
        lease.call("hello").await?;
        lease.put_back();
    }
    println!("20 callers at once: {served} served, {rejected} rejected");
    assert_eq!((served, rejected), (4, 16));

    assert_eq!(pool.close().len(), 4);
    pool.drained().await;
    Ok(())
}

// One connection, used in turn.

struct Command {
    line: String,
    answer: oneshot::Sender<io::Result<String>>,
}

/// Sends commands over one connection, each with a time-out that includes its wait.
struct InTurn {
    commands: Mailbox<Command>,
}

impl InTurn {
    fn new(server: Arc<Server>) -> Result<Self, Error> {
        // At most 10,000 commands wait. The next one is rejected at once.
        let commands = Mailbox::builder()
            .name("commands")
            .capacity(10_000)
            .discipline(Discipline::KeepOldest)
            .build()?;
        tokio::spawn(run_commands(commands.inbox(), server));
        Ok(InTurn { commands })
    }

    async fn call(&self, line: String, limit: Duration) -> Result<String, Error> {
        let (answer, answered) = oneshot::channel();
        if self.commands.offer(Command { line, answer }).is_err() {
            return Err("too many commands wait".into());
        }
        // After the time-out `answered` is dropped, which closes the sender in the command.
        Ok(timeout(limit, answered).await???)
    }
}

async fn run_commands(mut commands: Inbox<Command>, server: Arc<Server>) {
    let mut connection: Option<Connection> = None;
    while let Some(Command { line, mut answer }) = commands.take_wait().await {
        // The command was late while it waited.
        if answer.is_closed() {
            continue;
        }
        let call = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(&server).await?,
            };
            let text = open.call(&line).await?;
            connection = Some(open); // kept only after a complete answer
            Ok(text)
        };
        let result = tokio::select! {
            result = call => result,
            // The command is late while it runs. Its connection is dropped with it.
            () = answer.closed() => continue,
        };
        let _ = answer.send(result);
    }
}

async fn use_in_turn(server: Arc<Server>) -> Result<(), Error> {
    let before = server.opened.load(Relaxed);
    let in_turn = Arc::new(InTurn::new(server.clone())?);
    let minute = Duration::from_secs(60);

    // A thousand commands at once. Each caller gets its own answer.
    let mut tasks = vec![];
    for n in 0..1_000 {
        let in_turn = in_turn.clone();
        tasks.push(tokio::spawn(async move {
            let line = format!("number {n}");
            assert_eq!(in_turn.call(line.clone(), minute).await?, line);
            Ok::<_, Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let opened = server.opened.load(Relaxed) - before;
    println!("1,000 commands in turn: {opened} connection opened");
    assert_eq!(opened, 1);

    // The first command is late while it runs, the second while it waits. The third gets its own
    // answer.
    let (first, second, third) = tokio::join!(
        in_turn.call("slow".into(), Duration::from_millis(200)),
        in_turn.call("too late".into(), Duration::ZERO),
        in_turn.call("mine".into(), minute),
    );
    assert!(first.is_err() && second.is_err());
    assert_eq!(third?, "mine");
    let opened = server.opened.load(Relaxed) - before;
    println!("one command late while it ran, one while it waited: {opened} connections opened in all");
    assert_eq!(opened, 2);
    Ok(())
}
