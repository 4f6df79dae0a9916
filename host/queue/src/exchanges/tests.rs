use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn mx(preference: u16, host: &str) -> Exchange {
    Exchange { preference, host: host.to_owned() }
}

fn found(ips: &[&str]) -> AddressAnswer {
    let address = |ip: &&str| Address { ip: ip.parse().unwrap(), standing: Standing::Good };
    AddressAnswer::Found(ips.iter().map(address).collect())
}

fn standing(ip: &str, standing: Standing) -> AddressAnswer {
    AddressAnswer::Found(vec![Address { ip: ip.parse().unwrap(), standing }])
}

fn hosts(answer: MxAnswer) -> Result<Vec<String>, String> {
    let found = exchanges("example.org", answer, |host| host == "us.example.test", 1);
    let names = found.map(|found| found.hosts.into_iter().map(|exchange| exchange.host).collect());
    names.map_err(|nowhere| nowhere.to_string())
}

fn ips(exchanges: Exchanges, answers: &[AddressAnswer], families: Families) -> Result<Vec<String>, Nowhere> {
    let found = hops(exchanges, answers, families, 1);
    found.map(|hops| hops.iter().map(|hop| hop.ip.to_string()).collect())
}

fn of(records: Vec<Exchange>) -> Exchanges {
    exchanges("example.org", MxAnswer::Records(records), |_| false, 1).unwrap()
}

#[test]
fn the_lowest_preference_comes_first() {
    let records = vec![mx(20, "b"), mx(10, "a"), mx(30, "c")];
    assert_eq!(hosts(MxAnswer::Records(records)).unwrap(), ["a", "b", "c"]);
}

#[test]
fn equal_preferences_take_turns() {
    let records = vec![mx(10, "a"), mx(10, "b"), mx(10, "c"), mx(20, "d")];
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let found = exchanges("example.org", MxAnswer::Records(records.clone()), |_| false, seed).unwrap();
        assert_eq!(found.hosts[3].host, "d");
        seen.insert(found.hosts.into_iter().map(|exchange| exchange.host).collect::<String>());
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn a_domain_without_mx_records_stands_for_itself() {
    assert_eq!(hosts(MxAnswer::NoRecords).unwrap(), ["example.org"]);
    let alone = exchanges("example.org", MxAnswer::NoRecords, |_| false, 1).unwrap();
    let nowhere = hops(alone, &[AddressAnswer::None], Families::default(), 1).unwrap_err();
    assert_eq!((nowhere.why, nowhere.outcome()), (Why::NoAddress, Outcome::Failed));
}

#[test]
fn a_null_mx_takes_no_mail() {
    assert_eq!(hosts(MxAnswer::Records(vec![mx(0, "")])).unwrap_err(), "5.1.10 the domain takes no mail (null MX)");
    assert_eq!(
        hosts(MxAnswer::Records(vec![mx(0, ""), mx(10, "a")])).unwrap(),
        ["a"],
        "it means nothing beside others"
    );
}

#[test]
fn a_domain_that_is_not_there_is_a_failure_and_silence_is_a_delay() {
    let nowhere = |answer| exchanges("example.org", answer, |_| false, 1).unwrap_err();
    let gone = nowhere(MxAnswer::NoSuchDomain);
    assert_eq!((gone.to_string().as_str(), gone.outcome()), ("5.1.2 there is no such domain", Outcome::Failed));
    let silent = nowhere(MxAnswer::Failed("timed out".into()));
    assert_eq!(silent.outcome(), Outcome::Deferred);
    assert_eq!(silent.to_string(), "4.4.3 the DNS does not say where the domain's mail goes: timed out");
}

#[test]
fn where_we_are_an_exchange_only_better_ones_are_tried() {
    let records = vec![mx(10, "a"), mx(20, "us.example.test"), mx(20, "b"), mx(30, "c")];
    assert_eq!(hosts(MxAnswer::Records(records)).unwrap(), ["a"]);
    let records = vec![mx(10, "us.example.test"), mx(10, "b"), mx(30, "c")];
    assert!(hosts(MxAnswer::Records(records)).unwrap_err().starts_with("5.4.6 "));
}

#[test]
fn we_are_known_by_our_address_too() {
    let three = || of(vec![mx(10, "a"), mx(20, "b"), mx(30, "c")]);
    let own = standing("192.0.2.9", Standing::Own);
    let answers = [found(&["192.0.2.1"]), own.clone(), found(&["192.0.2.3"])];
    assert_eq!(ips(three(), &answers, Families::default()).unwrap(), ["192.0.2.1"]);
    let answers = [own.clone(), found(&["192.0.2.2"]), found(&["192.0.2.3"])];
    assert_eq!(ips(three(), &answers, Families::default()).unwrap_err().why, Why::Loops);
    // The better one might have been a way.
    let answers = [AddressAnswer::Failed("SERVFAIL".into()), own, found(&["192.0.2.3"])];
    let nowhere = ips(three(), &answers, Families::default()).unwrap_err();
    assert_eq!((nowhere.why, nowhere.detail.as_str()), (Why::Dns, "a: SERVFAIL"));
}

#[test]
fn addresses_that_are_refused_or_missing_leave_the_others() {
    let three = || of(vec![mx(10, "a"), mx(20, "b"), mx(30, "c")]);
    let answers = [standing("127.0.0.1", Standing::Refused), AddressAnswer::None, found(&["192.0.2.3"])];
    assert_eq!(ips(three(), &answers, Families::default()).unwrap(), ["192.0.2.3"]);
    let answers = [standing("127.0.0.1", Standing::Refused), AddressAnswer::None, AddressAnswer::None];
    assert_eq!(ips(three(), &answers, Families::default()).unwrap_err().why, Why::Refused);
    let nobody = [AddressAnswer::None, AddressAnswer::None, AddressAnswer::None];
    assert_eq!(ips(three(), &nobody, Families::default()).unwrap_err().why, Why::NoExchange);
}

#[test]
fn the_families_come_in_the_order_that_is_wanted() {
    let both = || (of(vec![mx(10, "a")]), [found(&["2001:db8::1", "192.0.2.1"])]);
    for (families, wanted) in [
        (Families::Ipv4First, &["192.0.2.1", "2001:db8::1"][..]),
        (Families::Ipv6First, &["2001:db8::1", "192.0.2.1"]),
        (Families::Ipv4Only, &["192.0.2.1"]),
        (Families::Ipv6Only, &["2001:db8::1"]),
    ] {
        let (exchanges, answers) = both();
        assert_eq!(ips(exchanges, &answers, families).unwrap(), wanted);
    }
}

#[test]
fn one_of_many_addresses_is_of_the_other_family() {
    let many = found(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "2001:db8::1"]);
    let ips = ips(of(vec![mx(10, "a")]), &[many], Families::Ipv4First).unwrap();
    assert_eq!((ips.len(), ips[3].as_str()), (ADDRESSES_MAX, "2001:db8::1"));
}

fn records() -> impl Strategy<Value = Vec<Exchange>> {
    let host = prop_oneof![Just(String::new()), Just("us.example.test".to_owned()), "[a-e]"];
    proptest::collection::vec((0u16..5, host).prop_map(|(preference, host)| Exchange { preference, host }), 1..30)
}

fn answer() -> impl Strategy<Value = AddressAnswer> {
    let ip = prop_oneof![
        any::<u8>().prop_map(|last| IpAddr::from([192, 0, 2, last])),
        any::<u16>().prop_map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]))
    ];
    let standing = prop_oneof![5 => Just(Standing::Good), 1 => Just(Standing::Own), 1 => Just(Standing::Refused)];
    let address = (ip, standing).prop_map(|(ip, standing)| Address { ip, standing });
    prop_oneof![
        4 => proptest::collection::vec(address, 1..8).prop_map(AddressAnswer::Found),
        1 => Just(AddressAnswer::None),
        1 => Just(AddressAnswer::Failed("SERVFAIL".into())),
    ]
}

proptest! {
    #[test]
    fn hosts_are_those_of_the_records_in_order_and_never_we(records in records(), seed in any::<u64>()) {
        let own = |host: &str| host == "us.example.test";
        let best = records.iter().filter(|exchange| own(&exchange.host)).map(|exchange| exchange.preference).min();
        match exchanges("example.org", MxAnswer::Records(records.clone()), own, seed) {
            Ok(found) => {
                prop_assert!(!found.hosts.is_empty() && found.hosts.len() <= EXCHANGES_MAX);
                prop_assert!(found.hosts.is_sorted_by_key(|exchange| exchange.preference));
                for exchange in &found.hosts {
                    prop_assert!(records.contains(exchange) && !own(&exchange.host) && !exchange.host.is_empty());
                    prop_assert!(best.is_none_or(|best| exchange.preference < best));
                }
            }
            Err(nowhere) => {
                prop_assert!(matches!(nowhere.why, Why::NullMx | Why::Loops));
                prop_assert!(nowhere.why == Why::NullMx || best.is_some());
            }
        }
    }

    #[test]
    fn hops_are_good_addresses_of_hosts_that_are_better_than_we(
        records in records(), answers in proptest::collection::vec(answer(), EXCHANGES_MAX), seed in any::<u64>(),
        families in prop_oneof![
            Just(Families::Ipv4First), Just(Families::Ipv6First), Just(Families::Ipv4Only), Just(Families::Ipv6Only)
        ],
    ) {
        let Ok(exchanges) = exchanges("example.org", MxAnswer::Records(records), |_| false, seed) else { return Ok(()) };
        let asked: Vec<_> = exchanges.hosts.iter().zip(&answers).collect();
        let own = asked.iter().filter(|(_, answer)| has(answer, Standing::Own)).map(|(exchange, _)| exchange.preference);
        let own = own.min();
        match hops(exchanges.clone(), &answers, families, seed) {
            Ok(hops) => {
                prop_assert!(!hops.is_empty() && hops.len() <= HOPS_MAX);
                for hop in &hops {
                    prop_assert!(families.wants(hop.ip.is_ipv4()));
                    let stands = asked.iter().any(|(exchange, answer)| {
                        let is_good = matches!(answer, AddressAnswer::Found(all)
                            if all.contains(&Address { ip: hop.ip, standing: Standing::Good }));
                        exchange.host == hop.host && is_good && own.is_none_or(|own| exchange.preference < own)
                    });
                    prop_assert!(stands, "{:?}", hop);
                }
            }
            // Mail is given up only where the DNS has told everything.
            Err(nowhere) => if nowhere.outcome() == Outcome::Failed {
                let better = asked.iter().filter(|(exchange, _)| own.is_none_or(|own| exchange.preference < own));
                prop_assert!(!better.clone().any(|(_, answer)| matches!(answer, AddressAnswer::Failed(_))));
            }
        }
    }
}
