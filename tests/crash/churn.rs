//! Exporters that come and go: new addresses, ports and domains all the time,
//! templates of other layouts under an id, data before its template, broken datagrams.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flow_tests::mutate::Xorshift;
use flow_tests::packet::ipfix::{self, Field};
use flow_tests::packet::v9;

use crate::collector::Socket;
use crate::exporters::{EXPORT_SECS, EXPORTER_SHIFT, EXPORTERS, LOOK_PERIOD, QUEUED_BYTES_MAX, RECORDS};

/// Exporters of a thread that send in turn.
const ALIVE: usize = 8;

/// Datagrams of an exporter before another takes its place, at most: at 10,000
/// records a second some 20 come and go each second, so that all tables are full
/// within minutes.
const LIFE_DATAGRAMS_MAX: usize = 40;

/// Elements beside the serial number, and their octets.
const ELEMENTS: [(u16, u16); 10] =
    [(1, 8), (2, 4), (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (10, 4), (14, 4), (152, 8)];

/// The threads that send, each its own numbers.
#[derive(Debug)]
pub(crate) struct Churn {
    target: SocketAddr,
    rate: u64,
    is_over: AtomicBool,
    next: [AtomicU64; EXPORTERS],
    n_exporters: AtomicU64,
    n_broken: AtomicU64,
    /// What each thread sent, once it has ended.
    sent: [OnceLock<Vec<Sent>>; EXPORTERS],
}

/// A datagram that was sent: enough to say of a record that is missing whose it was.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Duration,
    peer: SocketAddr,
    is_v9: bool,
    domain: u32,
    template_id: u16,
    has_template: bool,
}

impl Sent {
    fn is_of_same(&self, other: &Self) -> bool {
        (self.peer, self.domain) == (other.peer, other.domain)
    }
}

impl Churn {
    pub(crate) fn new(target: SocketAddr, rate: u64) -> Self {
        Self {
            target,
            rate: rate / EXPORTERS as u64,
            is_over: AtomicBool::new(false),
            next: Default::default(),
            n_exporters: AtomicU64::new(0),
            n_broken: AtomicU64::new(0),
            sent: Default::default(),
        }
    }

    /// Ends the threads.
    pub(crate) fn finish(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// For each thread the first number it has not sent.
    pub(crate) fn next(&self) -> [u64; EXPORTERS] {
        std::array::from_fn(|n| self.next[n].load(Ordering::SeqCst))
    }

    /// How many exporters there were, and how many broken datagrams.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.n_exporters.load(Ordering::SeqCst), self.n_broken.load(Ordering::SeqCst))
    }

    /// Whose a record is that a thread sent, and where in its exporter's life that was.
    pub(crate) fn describe(&self, thread: usize, number: u64) -> String {
        let sent = self.sent[thread].get().map(Vec::as_slice).unwrap_or_default();
        let Some(datagram) = sent.get((number / RECORDS) as usize) else { return "never sent".to_owned() };
        let of_exporter: Vec<_> = sent.iter().filter(|other| other.is_of_same(datagram)).collect();
        let nth =
            sent[..(number / RECORDS) as usize].iter().filter(|other| other.is_of_same(datagram)).count();
        let with_template = of_exporter.iter().enumerate().filter(|(_, other)| other.has_template);
        let with_template: Vec<_> = with_template.map(|(index, _)| 1 + index).collect();
        let &Sent { at, peer, is_v9, domain, template_id, .. } = datagram;
        format!(
            "record {number} of thread {thread}: datagram {} of the {} of {peer}, v{}, domain {domain}, sent after \
             {at:.3?}; template {template_id} came with {with_template:?}",
            1 + nth,
            of_exporter.len(),
            if is_v9 { 9 } else { 10 }
        )
    }

    /// Sends as thread `n` until the end.
    pub(crate) fn run(&self, n: usize, seed: u64) {
        let start = Instant::now();
        let mut sent = Vec::new();
        let mut random = Xorshift::new(seed + n as u64);
        let mut alive: Vec<Exporter> = (0..ALIVE).map(|_| self.exporter(&mut random)).collect();
        let period = Duration::from_nanos(1_000_000_000 * RECORDS / self.rate.max(1));
        let mut due = Instant::now();
        let mut serial = 0;
        for n_sent in 0_u64.. {
            if self.is_over.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due = (due + period).max(Instant::now() - Duration::from_millis(50));
            let is_full = |socket: Socket| socket.queued_bytes > QUEUED_BYTES_MAX;
            while n_sent.is_multiple_of(LOOK_PERIOD) && Socket::of(self.target.port()).is_some_and(is_full) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let chosen = random.below(ALIVE);
            sent.push(alive[chosen].about_to_send(start.elapsed()));
            serial = alive[chosen].send(n, serial, &mut random);
            self.next[n].store(serial, Ordering::SeqCst);
            if random.below(50) == 0 {
                alive[chosen].send_broken(&mut random);
                self.n_broken.fetch_add(1, Ordering::SeqCst);
            }
            if alive[chosen].n_left == 0 {
                alive[chosen] = self.exporter(&mut random);
            }
        }
        // A soak that ended between data and its template missed a datagram, one time in five:
        // it waits for what nobody sends any more.
        for exporter in alive.iter_mut().filter(|exporter| exporter.n_until_template == 0) {
            sent.push(exporter.about_to_send(start.elapsed()));
            serial = exporter.send(n, serial, &mut random);
            self.next[n].store(serial, Ordering::SeqCst);
        }
        let is_first = self.sent[n].set(sent).is_ok();
        assert!(is_first, "each thread runs once");
    }

    fn exporter(&self, random: &mut Xorshift) -> Exporter {
        self.n_exporters.fetch_add(1, Ordering::SeqCst);
        Exporter::new(self.target, random)
    }
}

/// One exporter while it lives.
#[derive(Debug)]
struct Exporter {
    socket: UdpSocket,
    is_v9: bool,
    domain: u32,
    sequence: u32,
    template_id: u16,
    fields: Vec<(u16, u16)>,
    /// Datagrams until the template is sent (again), perhaps another.
    n_until_template: usize,
    n_left: usize,
}

impl Exporter {
    fn new(target: SocketAddr, random: &mut Xorshift) -> Self {
        // Some of a few addresses, so that domains share them; never the first of all.
        let octet = |random: &mut Xorshift| 1 + random.below(250) as u8;
        let source = Ipv4Addr::new(127, 1, octet(random) % 16, octet(random));
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.connect(target).unwrap();
        Self {
            socket,
            is_v9: random.below(2) == 0,
            domain: random.below(1 << 20) as u32,
            sequence: 0,
            template_id: 256 + random.below(100) as u16,
            fields: layout(random),
            // Some data comes before its template.
            n_until_template: random.below(3).saturating_sub(1),
            n_left: 2 + random.below(LIFE_DATAGRAMS_MAX),
        }
    }

    fn about_to_send(&self, at: Duration) -> Sent {
        let &Self { is_v9, domain, template_id, .. } = self;
        let (peer, has_template) = (self.socket.local_addr().unwrap(), self.n_until_template == 0);
        Sent { at, peer, is_v9, domain, template_id, has_template }
    }

    /// Sends one datagram of records from `serial` on; returns the next number.
    fn send(&mut self, thread: usize, serial: u64, random: &mut Xorshift) -> u64 {
        let template = (self.n_until_template == 0).then(|| self.fields.clone());
        let numbers = serial..serial + RECORDS;
        let records: Vec<_> =
            numbers.map(|number| self.record((thread as u64) << EXPORTER_SHIFT | number)).collect();
        let payload = self.datagram(template.as_deref(), &records);
        self.socket.send(&payload).unwrap();
        self.sequence = self.sequence.wrapping_add(if self.is_v9 { 1 } else { RECORDS as u32 });
        self.n_left -= 1;
        self.n_until_template = match self.n_until_template {
            0 => {
                let n_until = 1 + random.below(20);
                // Data waits for a definition that is the one it was sent with.
                if random.below(3) == 0 {
                    self.fields = layout(random);
                    0
                } else {
                    n_until
                }
            }
            n => n - 1,
        };
        serial + RECORDS
    }

    /// Sends a message cut short, of records that must not be stored.
    fn send_broken(&self, random: &mut Xorshift) {
        let records = vec![self.record((EXPORTERS as u64) << EXPORTER_SHIFT); 3];
        let payload = self.datagram(None, &records);
        let length = 1 + random.below(payload.len() - 1);
        self.socket.send(&payload[..length]).unwrap();
    }

    fn datagram(&self, template: Option<&[(u16, u16)]>, records: &[Vec<u8>]) -> Vec<u8> {
        if self.is_v9 {
            let packet = v9::Message::new(3_600_000, EXPORT_SECS, self.sequence, self.domain);
            let packet = match template {
                Some(fields) => packet.template(self.template_id, fields),
                None => packet,
            };
            return packet.data(self.template_id, records).encode();
        }
        let packet = ipfix::Message::new(EXPORT_SECS, self.sequence, self.domain);
        let packet = match template {
            Some(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|&(element, length)| Field::iana(element, length)).collect();
                packet.template(self.template_id, &fields)
            }
            None => packet,
        };
        packet.data(self.template_id, records).encode()
    }

    fn record(&self, serial: u64) -> Vec<u8> {
        let mut record = Vec::with_capacity(48);
        for &(element, length) in &self.fields {
            let value =
                if element == 148 { serial } else { serial.wrapping_mul(u64::from(element)) & 0xffff };
            record.extend(&value.to_be_bytes()[8 - usize::from(length)..]);
        }
        record
    }
}

/// The serial number among some other elements.
fn layout(random: &mut Xorshift) -> Vec<(u16, u16)> {
    let mut fields: Vec<_> = ELEMENTS.into_iter().filter(|_| random.below(3) > 0).collect();
    fields.insert(random.below(fields.len() + 1), (148, 8));
    fields
}

/// Whenever it ends, all data has its template.
#[test]
fn exporters_leave_no_data_without_its_template() {
    for seed in 0..50 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let churn = Churn::new(socket.local_addr().unwrap(), 1_000_000);
        std::thread::scope(|scope| {
            let running = scope.spawn(|| churn.run(0, seed));
            let mut n_received = 0;
            while !running.is_finished() {
                n_received += u64::from(socket.recv(&mut [0; 2_048]).is_ok());
                if n_received == 40 + seed {
                    churn.finish();
                }
            }
        });
        let sent = churn.sent[0].get().unwrap();
        let n_records = churn.next()[0];
        assert_eq!(sent.len() as u64 * RECORDS, n_records);
        let has_template = |of: &Sent| sent.iter().any(|other| other.is_of_same(of) && other.has_template);
        let without: Vec<_> = (0..sent.len()).filter(|&nth| !has_template(&sent[nth])).collect();
        let said: Vec<_> = without.iter().map(|&nth| churn.describe(0, nth as u64 * RECORDS)).collect();
        assert!(said.is_empty(), "seed {seed}: {said:#?}");
    }
}
