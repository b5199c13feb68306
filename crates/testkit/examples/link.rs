//! Opens a link by hand. All arguments are optional:
//!
//! ```text
//! sudo cargo run -p vodferry-testkit --features net --example link -- rate=100000000 rtt=200 loss-ppm=100 mtu=1500 queue=200
//! ```
//!
//! `rate` in bits per second each way (0: without limit), `rtt` and `queue` in milliseconds, `loss-ppm` in a million packets each way. It prints how to
//! enter both sides and runs until Ctrl-C, printing what passes. With `measure=SECONDS` (and `connections=N`, default 1) it measures plain TCP from a to b instead.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use vodferry_testkit::net::link::{Link, LinkOptions, NoLink, Shape, Way};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut rate, mut rtt, mut loss, mut mtu, mut queue) = (100_000_000, 200, 0, 1500, 200);
    let (mut measure, mut connections) = (0, 1);
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("arguments are NAME=NUMBER")?;
        let value: u64 = value.parse().map_err(|_| format!("{name} wants a number: {value}"))?;
        match name {
            "rate" => rate = value,
            "rtt" => rtt = value,
            "loss-ppm" => loss = u32::try_from(value)?,
            "mtu" => mtu = u16::try_from(value)?,
            "queue" => queue = value,
            "measure" => measure = value,
            "connections" => connections = usize::try_from(value)?,
            _ => return Err(format!("no argument has the name {name}").into()),
        }
    }
    let way = Shape::new(rate, Duration::from_micros(rtt * 500)).with_loss_ppm(loss);
    let mut options = LinkOptions::both(way.with_queue(Duration::from_millis(queue)));
    options.mtu = mtu;
    let link = match Link::open(&options) {
        Ok(link) => link,
        Err(NoLink::Skip(reason)) => {
            println!("skipped: {reason}");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if measure > 0 {
        // Room for what is under way on a long fat line.
        link.a.sysctl("net.ipv4.tcp_wmem", "4096 262144 67108864")?;
        link.b.sysctl("net.ipv4.tcp_rmem", "4096 262144 67108864")?;
        let began = Instant::now();
        let transfer = link.transfer(Way::AToB, connections, measure)?;
        for (second, bytes) in (1..).zip(&transfer.seconds) {
            println!("{second:3} s  {:8.1} Mbit/s", *bytes as f64 * 8e-6);
        }
        let half = transfer.rate_after(transfer.seconds.len() / 2) as f64 * 1e-6;
        println!("second half: {half:.1} Mbit/s of payload; {:.1?} in all", began.elapsed());
        println!("a to b: {:?}\nb to a: {:?}", link.traffic(Way::AToB), link.traffic(Way::BToA));
        return Ok(());
    }
    println!("a ({}): {}", link.a.address(), link.a.how_to_enter());
    println!("b ({}): {}", link.b.address(), link.b.how_to_enter());
    println!("Ctrl-C ends it, and whatever runs inside");
    loop {
        thread::sleep(Duration::from_secs(10));
        println!("a to b: {:?}\nb to a: {:?}", link.traffic(Way::AToB), link.traffic(Way::BToA));
    }
}
