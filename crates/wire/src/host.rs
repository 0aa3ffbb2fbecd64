//! The address under which a client knows this server, for URLs that are given to it.

use std::net::{IpAddr, SocketAddr};

/// Longest host that is repeated to a client.
const HOST_MAX: usize = 255;

/// `http://HOST` as the client knows it: by its `Host`, or by `X-Forwarded-Proto` and `X-Forwarded-Host` behind a proxy;
/// else the `fallback`, which the configuration gives. A host with other characters than hosts have is not repeated.
pub fn public_base<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    behind_proxy: bool,
    fallback: Option<&str>,
) -> String {
    let forwarded = |name| if behind_proxy { header(name).and_then(first) } else { None };
    let scheme = match forwarded("x-forwarded-proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let hosts = [forwarded("x-forwarded-host"), header("host")];
    let host = hosts.into_iter().flatten().find(|host| is_host(host));
    format!("{scheme}://{}", host.or(fallback).unwrap_or("localhost"))
}

/// The client's address: the first of `X-Forwarded-For` behind a proxy, if that is one, else the `peer`.
pub fn client_ip<'a>(header: impl Fn(&str) -> Option<&'a str>, behind_proxy: bool, peer: IpAddr) -> IpAddr {
    let forwarded = if behind_proxy { header("x-forwarded-for").and_then(first) } else { None };
    forwarded.and_then(parse_ip).map_or(peer, |ip| ip.to_canonical())
}

/// The address that the proxy itself has seen, behind one: the last of `X-Forwarded-For`, which no client can choose. The
/// `peer` else.
pub fn nearest_ip(forwarded_for: Option<&str>, behind_proxy: bool, peer: IpAddr) -> IpAddr {
    let last = forwarded_for.filter(|_| behind_proxy).and_then(|list| list.rsplit(',').next());
    last.and_then(|text| parse_ip(text.trim())).map_or(peer, |ip| ip.to_canonical())
}

/// An address as proxies write it: bare, or with a port behind it.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

fn first(list: &str) -> Option<&str> {
    list.split(',').next().map(str::trim)
}

fn is_host(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(headers: &[(&str, &str)], behind_proxy: bool, fallback: Option<&str>) -> String {
        public_base(
            |name| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| *value),
            behind_proxy,
            fallback,
        )
    }

    #[test]
    fn the_clients_own_host_comes_first() {
        assert_eq!(
            base(&[("host", "radio.example:8000")], false, Some("other")),
            "http://radio.example:8000"
        );
        assert_eq!(base(&[("host", "[::1]:8000")], false, None), "http://[::1]:8000");
        assert_eq!(base(&[], false, Some("radio.example")), "http://radio.example");
        assert_eq!(base(&[], false, None), "http://localhost");
    }

    #[test]
    fn a_proxy_is_believed_only_where_there_is_one() {
        let headers = |scheme, host| {
            [("host", "inner:8000"), ("x-forwarded-proto", scheme), ("x-forwarded-host", host)]
        };
        for (scheme, host, expected) in [
            ("https", "radio.example, x", "https://radio.example"),
            ("HTTPS, http", " radio.example:8443 ", "https://radio.example:8443"),
            ("http", "radio.example", "http://radio.example"),
            ("javascript", "radio.example", "http://radio.example"),
            ("https", "a b", "https://inner:8000"),
            ("https", "", "https://inner:8000"),
        ] {
            assert_eq!(base(&headers(scheme, host), true, None), expected, "{scheme} {host}");
            assert_eq!(base(&headers(scheme, host), false, None), "http://inner:8000");
        }
    }

    #[test]
    fn the_clients_address_is_the_one_that_a_trusted_proxy_tells() {
        let peer = IpAddr::from([10, 0, 0, 1]);
        for (forwarded, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7 , 10.0.0.2", "192.0.2.7"),
            ("192.0.2.7:5000", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            let header = |name: &str| (name == "x-forwarded-for").then_some(forwarded);
            assert_eq!(client_ip(header, true, peer).to_string(), expected, "{forwarded:?}");
            assert_eq!(client_ip(header, false, peer), peer);
        }
    }

    #[test]
    fn the_nearest_address_is_the_one_that_the_proxy_has_written() {
        let peer = IpAddr::from([10, 0, 0, 1]);
        for (forwarded, expected) in [
            (Some("192.0.2.7"), "192.0.2.7"),
            (Some("198.51.100.1, 192.0.2.7:5000 "), "192.0.2.7"),
            (Some("198.51.100.1,"), "10.0.0.1"),
            (None, "10.0.0.1"),
        ] {
            assert_eq!(nearest_ip(forwarded, true, peer).to_string(), expected, "{forwarded:?}");
            assert_eq!(nearest_ip(forwarded, false, peer), peer);
        }
    }

    #[test]
    fn a_host_has_a_longest() {
        let longest = "h".repeat(HOST_MAX);
        assert_eq!(base(&[("host", &longest)], false, None), format!("http://{longest}"));
        assert_eq!(base(&[("host", &(longest + "h"))], false, None), "http://localhost");
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        for host in ["", "a b", "a/b", "user@a", "a?b", "a#b", "a\\b", "a\"><script>", "a\r\nb", "é"] {
            assert_eq!(base(&[("host", host)], false, Some("safe")), "http://safe", "{host:?}");
        }
    }
}
