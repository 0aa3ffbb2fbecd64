//! What becomes of the rewind buffer: dumped, loaded, emptied, bounded, and kept over a crash and a restart.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use testkit::listener::ListenerClient;
use testkit::wait::{DEADLINE, eventually};

use crate::harness::{
    DUMP, Host, api, buffer_seconds, content_start_us, count, dump, frames, line, listen, load, merge,
    on_air, play, pump_all, set_title, source, status, test_stream, wait_for_buffer, wait_for_frame,
};

#[test]
fn a_dump_loaded_elsewhere_is_the_same_audio_at_the_same_time_with_its_titles() {
    let first = Host::with_stream(json!({"metaTitle": "One", "meta_interval": 1000, "burst": 60}));
    play(&first, 0..count(20));
    set_title(&first, "Two");
    play(&first, count(20)..count(30));
    let dump = dump(&first);

    let second = Host::with_stream(json!({"meta_interval": 1000, "burst": 60}));
    let (status, loaded) = load(&second, &dump);
    assert_eq!(status, 200, "{loaded}");
    assert!((29.0..=30.1).contains(&loaded["seconds"].as_f64().unwrap()), "{loaded}");
    assert!(loaded["length"].as_u64().unwrap() >= 59, "{loaded}");
    let hear = |host: &Host| {
        let mut listener = listen(host, "/test?pump=1000");
        (content_start_us(&listener), listener.read_body())
    };
    let (first_heard, second_heard) = (hear(&first), hear(&second));
    assert!(first_heard == second_heard, "{} and {} bytes", first_heard.1.len(), second_heard.1.len());
    frames().scan(&second_heard.1).assert_exactly(0..count(30));

    let titles = |host: &Host| {
        let start = content_start_us(&listen(host, "/test?pump=1000")) / 1000;
        let mut listener =
            ListenerClient::get(host.listeners(), &format!("/test?start={start}"), &[("Icy-MetaData", "1")]);
        let mut icy = listener.icy_reader();
        icy.push(&listener.body.read_exact(230_000));
        icy.blocks
    };
    assert_eq!(
        titles(&second).iter().map(|block| block.title().unwrap()).collect::<Vec<_>>(),
        ["One", "Two"]
    );
    assert_eq!(titles(&second), titles(&first));
}

#[test]
fn a_dump_goes_behind_the_oldest_audio() {
    let first = Host::with_stream(json!({}));
    play(&first, 0..count(20));
    let dump = dump(&first);
    // Audio of its own is newer than the dump's.
    let second = Host::with_stream(json!({}));
    play(&second, 10_000..10_050);
    let (status, loaded) = load(&second, &dump);
    assert_eq!(status, 200, "{loaded}");
    let report = frames().scan(&pump_all(&second));
    assert!(report.is_whole() && report.breaks.len() == 1, "{report:?}");
    assert_eq!(
        (report.first, report.last, report.breaks[0].next),
        (Some(0), Some(10_049), 10_000),
        "{report:?}"
    );
}

#[test]
fn a_damaged_dump_is_refused_and_harms_nothing() {
    let host = Host::with_stream(json!({}));
    play(&host, 0..count(5));
    let whole = dump(&host);
    let target = Host::with_stream(json!({}));
    for (damage, bytes) in [
        ("no dump", b"this is not a dump".to_vec()),
        ("a huge header", [&[0xFF; 8][..], &whole].concat()),
        ("a header that is no JSON", [&8_u32.to_le_bytes()[..], b"not json"].concat()),
        ("only a length", whole[..3].to_vec()),
    ] {
        let (status, answer) = load(&target, &bytes);
        assert_eq!((status, &answer["status"]), (400, &json!(400)), "{damage}: {answer}");
        assert_eq!(buffer_seconds(&target, "test"), 0.0, "{damage}");
    }
    // Cut anywhere, it gives whole frames or none.
    for cut in [whole.len() - 1, whole.len() / 2, whole.len() / 3, 200, 100] {
        load(&target, &whole[..cut]);
        let report = frames().scan(&pump_all(&target));
        assert!(report.is_whole() && report.is_continuous(), "cut at {cut}: {report:?}");
        api(&target, "DELETE", DUMP, None);
    }
    frames().scan(&pump_all(&host)).assert_exactly(0..count(5));
}

#[test]
fn a_dump_beyond_twice_the_buffer_is_not_taken() {
    let host = Host::with_stream(json!({"bytes_max": 1 << 20}));
    assert_eq!(load(&host, &vec![0; 2 << 20]).0, 400);
    assert_eq!(load(&host, &vec![0; (2 << 20) + 1]).0, 413);
}

#[test]
fn an_emptied_buffer_is_empty_and_fills_again() {
    let host = Host::with_stream(json!({"burst": 1}));
    play(&host, 0..count(20));
    let mut listener = listen(&host, "/test?offset=10");
    listener.body.read_exact(1000);
    let (code, answer) = api(&host, "DELETE", DUMP, None);
    assert_eq!((code, &answer["rewind"]["buffer_length"]), (200, &json!(0.0)), "{answer}");
    assert_eq!(pump_all(&host), b"");
    assert_eq!(dump(&host), b"");
    play(&host, 5000..5100);
    frames().scan(&pump_all(&host)).assert_exactly(5000..5100);
    // Who was listening hears the new audio.
    listener.body.read_until(DEADLINE, |bytes| frames().scan(bytes).last == Some(5099));
}

#[test]
fn the_buffer_is_no_longer_than_the_stream_says() {
    let host = Host::with_stream(json!({"seconds": 60}));
    play(&host, 0..count(300));
    let report = frames().scan(&pump_all(&host));
    assert!(report.is_whole() && report.is_continuous(), "{report:?}");
    assert_eq!(report.last, Some(count(300) - 1));
    // Whole blocks are dropped, so it may hold a little more.
    let held = frames().duration(report.frames as u32).as_secs();
    assert!((60..240).contains(&held), "{held} s");
}

#[test]
fn a_restart_goes_on_where_the_server_ended() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = Host::with_directory(directory.path());
    play(&host, 0..count(20));
    set_title(&host, "Kept");
    play(&host, count(20)..count(25));
    let before = (content_start_us(&listen(&host, "/test?pump=1000")), pump_all(&host));
    assert!(host.terminate().success());
    drop(host);

    let host = Host::with_directory(directory.path());
    let after = (content_start_us(&listen(&host, "/test?pump=1000")), pump_all(&host));
    assert!(before == after, "{} and {} bytes", before.1.len(), after.1.len());
    play(&host, count(25)..count(30));
    frames().scan(&pump_all(&host)).assert_exactly(0..count(30));
    assert!(content_start_us(&listen(&host, "/test?pump=1000")) == before.0);
}

#[test]
fn the_last_frame_of_a_source_on_air_is_kept_when_the_server_ends() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = Host::with_directory(directory.path());
    let mut source = source(&host);
    source.send(&frames().bytes(0..50)).unwrap();
    let proven = frames().position(49);
    eventually(DEADLINE, || (line(&host, "test").first()?["bytes"].as_u64()? >= proven).then_some(()));
    assert!(host.terminate().success());
    assert!(source.is_closed_within(DEADLINE));
    let host = Host::with_directory(directory.path());
    frames().scan(&pump_all(&host)).assert_exactly(0..50);
}

#[test]
fn a_crash_in_mid_writing_loses_at_most_the_chunk_being_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = Host::with_directory(directory.path());
    let source = on_air(&host, 20);
    let newest = source.next_frame() + 40;
    eventually(DEADLINE, || (source.next_frame() > newest).then_some(()));
    let mut listener = listen(&host, "/test?pump=1000");
    let start_us = content_start_us(&listener);
    let before = listener.read_body();
    host.kill9();
    drop((source, host));

    let host = Host::with_directory(directory.path());
    // What was heard is there, at its instant.
    let address = format!("/test?start={}&end={}", start_us / 1000, start_us / 1000 + 3_600_000);
    let mut again = listen(&host, &format!("/test?start={}", start_us / 1000));
    assert_eq!(content_start_us(&again), start_us);
    let burst = 5 * 8_000;
    assert!(again.body.read_exact(burst) == before[..burst]);
    assert_eq!(content_start_us(&listen(&host, &address)), start_us);
    let after = pump_all(&host);
    assert!(after.starts_with(&before), "{} bytes of {}", after.len(), before.len());
    let report = frames().scan(&after);
    assert!(report.is_whole() && report.is_continuous() && report.first == Some(0), "{report:?}");

    // A source that comes back goes on behind it.
    let next = report.last.unwrap() + 1;
    play(&host, next..next + 50);
    frames().scan(&pump_all(&host)).assert_exactly(0..next + 50);
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::with_directory(directory.path());
    play(&host, 0..50);
    let second = directory.path().join("second.json");
    let settings = crate::harness::merge(
        crate::harness::test_stream(json!({})),
        json!({"port": 0, "source_port": 0, "listen": "127.0.0.1", "rewind": {"dir": directory.path()}}),
    );
    std::fs::write(&second, settings.to_string()).unwrap();
    let mut command = std::process::Command::new(crate::harness::BINARY);
    command.arg("--config").arg(&second);
    let mut refused = testkit::process::Process::start(command);
    assert!(!refused.wait(DEADLINE).success());
    let reason = refused.stderr();
    assert!(reason.contains("cannot open the rewind buffer of test"), "{reason}");
    let mut source = source(&host);
    source.send(&frames().bytes(50..100)).unwrap();
    source.close();
    wait_for_frame(&host, "test", 99);
    assert_eq!(status(&host, "test")["lost_batches"], 0);
}

/// Sends while the server gets no descriptor for new blocks, and after it gets them again. It must say `lost` and then
/// `found`, and lose nothing.
#[track_caller]
fn check_lack_of_descriptors(host: &Host, lost: &str, found: &str) {
    let pid = Pid::from_raw(host.pid() as i32).expect("a process has a number");
    let limit = |limit| prlimit(Some(pid), Resource::Nofile, limit).expect("the server is a child of ours");
    let mut source = source(host);
    let mut send = |numbers| source.send(&frames().bytes(numbers)).expect("the server takes audio");
    send(0..count(5));
    wait_for_buffer(host, "test", 4.0);
    let before = limit(Rlimit { current: Some(0), maximum: getrlimit(Resource::Nofile).maximum });
    // More than a block.
    send(count(5)..count(120));
    let line = host.wait_for_log(lost);
    assert!(line.contains("Too many open files"), "{line}");
    limit(before);
    // As much again as a block takes: only the next one is tried on disk, however full this one is already.
    send(count(120)..count(160));
    host.wait_for_log(found);
    source.close();
    wait_for_frame(host, "test", count(160) - 1);
    frames().scan(&pump_all(host)).assert_exactly(0..count(160));
}

#[test]
fn without_descriptors_the_log_tells_where_the_audio_goes() {
    let stream = test_stream(json!({"seconds": 600}));
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(merge(stream.clone(), json!({"rewind": {"dir": directory.path()}})));
    check_lack_of_descriptors(
        &host,
        "the rewind buffer cannot be written to disk: kept in memory only",
        "the rewind buffer is written to disk again",
    );
    let host = Host::start(stream);
    check_lack_of_descriptors(
        &host,
        "no memory file for the rewind buffer: kept in small pieces of memory",
        "the rewind buffer is kept in memory files again",
    );
    assert!(!host.logs().contains("disk"), "{}", host.logs());
}
