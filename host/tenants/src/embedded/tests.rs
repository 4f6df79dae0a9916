//! Stories of the registry: its rules, and what a crash leaves of it.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use redb::StorageBackend;
use serde_json::json;

use super::*;
use crate::{FaultRule, Metadata, Quotas, Refusal, Rollout, Scope, Version};

const GRANTS: [&str; 3] = ["dns", "kv", "quarantine"];
const HASHES: [&str; 3] = ["a", "b", "c"];

fn author() -> Author {
    Author { who: "test".into(), from: None, at: 7 }
}

fn memory() -> Embedded {
    let opening = || Database::builder().create_with_backend(redb::backends::InMemoryBackend::new());
    Embedded::on(Box::new(opening), &GRANTS).unwrap().unwrap()
}

fn name<T: std::str::FromStr<Err = crate::BadName>>(text: &str) -> T {
    text.parse().unwrap()
}

fn hash(letter: &str) -> ModuleHash {
    name(&letter.repeat(64))
}

fn add_tenant(tenant: &str) -> Change {
    let grants = vec!["dns".to_owned()];
    Change::AddTenant { tenant: name(tenant), title: "A tenant".into(), quotas: Quotas::default(), grants }
}

fn add_domain(tenant: &str, domain: &str) -> Change {
    Change::AddDomain { tenant: name(tenant), domain: name(domain) }
}

fn add_module(tenant: &str, letter: &str) -> Change {
    let module = Module {
        hash: hash(letter),
        tenant: name(tenant),
        size: 100,
        metadata: Metadata::default(),
        hooks: vec!["rcpt".into()],
        imports: Vec::new(),
        needs: if letter == "c" { vec!["dns".into()] } else { Vec::new() },
        signer: None,
        uploader: "test".into(),
        created: 7,
    };
    Change::AddModule { module }
}

fn version(letter: &str) -> Version {
    let grants = if letter == "c" { vec!["dns".to_owned()] } else { Vec::new() };
    Version { module: hash(letter), config: serde_json::Map::new(), grants, since: 0 }
}

fn bind(tenant: &str, binding: &str, letter: &str) -> Change {
    let binding = Binding {
        name: name(binding),
        tenant: name(tenant),
        active: version(letter),
        previous: Vec::new(),
        rollout: None,
        enabled: true,
        priority: 0,
        on_fault: FaultRule::Defer,
    };
    Change::AddBinding { binding }
}

fn activate(tenant: &str, binding: &str, letter: &str) -> Change {
    Change::Activate { tenant: name(tenant), binding: name(binding), version: version(letter) }
}

/// A tenant with a domain, all modules and one binding.
fn furnished() -> Embedded {
    let registry = memory();
    let mut changes = vec![add_tenant("acme"), add_domain("acme", "acme.example")];
    changes.extend(HASHES.iter().map(|letter| add_module("acme", letter)));
    changes.push(bind("acme", "filter", "a"));
    changes.iter().for_each(|change| make(&registry, change).map(drop).unwrap());
    registry
}

fn make(registry: &Embedded, change: &Change) -> Result<u64, Failure> {
    registry.change_now(&author(), change)
}

/// Why a change is refused.
fn refused(registry: &Embedded, change: &Change) -> String {
    match make(registry, change) {
        Err(Failure::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?} for {change:?}"),
    }
}

fn binding(registry: &Embedded) -> Binding {
    registry.read(|reading| reading.binding(&name("acme"), &name("filter"))).unwrap()
}

#[test]
fn a_domain_is_one_tenants() {
    let registry = furnished();
    make(&registry, &add_tenant("bravo")).unwrap();
    assert_eq!(refused(&registry, &add_domain("bravo", "acme.example")), "the domain `acme.example` is there already");
    assert_eq!(refused(&registry, &add_domain("nobody", "new.example")), "there is no tenant `nobody`");
    let remove = |tenant| Change::RemoveDomain { tenant: name(tenant), domain: name("acme.example") };
    assert_eq!(refused(&registry, &remove("bravo")), "there is no domain `acme.example`");
    make(&registry, &remove("acme")).unwrap();
    make(&registry, &add_domain("bravo", "acme.example")).unwrap();
    let all = registry.read(Reading::all_domains).unwrap();
    assert_eq!(all.iter().map(|domain| domain.tenant.as_str()).collect::<Vec<_>>(), ["bravo"]);
}

#[test]
fn only_a_tenants_own_modules_are_bound_with_what_they_need_and_no_more() {
    let registry = furnished();
    make(&registry, &add_tenant("bravo")).unwrap();
    assert!(refused(&registry, &bind("bravo", "filter", "a")).starts_with("there is no module `aaaa"));
    let with = |letter, grants: &[&str]| {
        let version = Version { grants: grants.iter().map(|&grant| grant.to_owned()).collect(), ..version(letter) };
        Change::Activate { tenant: name("acme"), binding: name("filter"), version }
    };
    assert_eq!(refused(&registry, &with("c", &[])), "the module needs the grant `dns`, which is not given");
    assert_eq!(refused(&registry, &with("a", &["kv"])), "the tenant may not give the grant `kv`; it may give: dns");
    assert!(refused(&registry, &with("a", &["root"])).starts_with("`root` is no grant that tenants can have"));
    assert_eq!(refused(&registry, &with("a", &["dns", "dns"])), "the grant `dns` stands there twice");
    make(&registry, &with("c", &["dns"])).unwrap();
}

#[test]
fn a_version_gives_way_and_comes_back() {
    let registry = furnished();
    let roll_back = Change::RollBack { tenant: name("acme"), binding: name("filter") };
    assert_eq!(refused(&registry, &roll_back), "the binding `filter` has no version to go back to");
    make(&registry, &activate("acme", "filter", "b")).unwrap();
    make(&registry, &activate("acme", "filter", "c")).unwrap();
    let runs = |registry: &Embedded| binding(registry).active.module;
    assert_eq!((runs(&registry), binding(&registry).previous.len()), (hash("c"), 2));
    make(&registry, &roll_back).unwrap();
    assert_eq!((runs(&registry), binding(&registry).previous.len()), (hash("b"), 1));
    for _ in 0..30 {
        make(&registry, &activate("acme", "filter", "a")).unwrap();
    }
    assert_eq!(binding(&registry).previous.len(), 10);
}

#[test]
fn what_is_used_or_tried_or_may_come_back_stays() {
    let registry = furnished();
    make(&registry, &activate("acme", "filter", "b")).unwrap();
    let shadow = Rollout::Shadow { candidate: version("c") };
    let roll_out = |rollout| Change::RollOut { tenant: name("acme"), binding: name("filter"), rollout };
    make(&registry, &roll_out(Some(shadow))).unwrap();
    let remove = |letter| Change::RemoveModule { tenant: name("acme"), module: hash(letter) };
    for letter in HASHES {
        assert!(refused(&registry, &remove(letter)).ends_with("is needed by the binding `filter`"));
    }
    make(&registry, &roll_out(None)).unwrap();
    make(&registry, &remove("c")).unwrap();
    let share = |percent| Some(Rollout::Share { candidate: version("a"), percent });
    assert_eq!(refused(&registry, &roll_out(share(100))), "a share of 100 % is not from 1 to 99");
    make(&registry, &roll_out(share(99))).unwrap();
}

#[test]
fn quotas_hold() {
    let registry = furnished();
    let quotas = Quotas { bindings: 1, modules: 3, module_size: 99, ..Quotas::default() };
    let altered = Change::AlterTenant {
        tenant: name("acme"),
        title: None,
        suspended: Some(true),
        quotas: Some(quotas),
        grants: None,
        signers: None,
    };
    make(&registry, &altered).unwrap();
    assert_eq!(refused(&registry, &bind("acme", "second", "a")), "the tenant may have 1 bindings at most");
    assert_eq!(refused(&registry, &add_module("acme", "d")), "the tenant may have 99 octets in a module at most");
    let tenant = registry.read(|reading| reading.tenant(&name("acme"))).unwrap();
    assert!(tenant.suspended && tenant.title == "A tenant");
}

#[test]
fn with_a_tenant_goes_all_that_was_its_own() {
    let registry = furnished();
    make(&registry, &add_tenant("acme-2")).unwrap();
    make(&registry, &add_domain("acme-2", "second.example")).unwrap();
    let secret = Change::SetSecret { tenant: name("acme"), secret: name("key"), value: b"0123456789abcdef".to_vec() };
    make(&registry, &secret).unwrap();
    let token = crate::NewToken::make("ci", Scope::Tenant { tenant: name("acme"), read_only: false }, None).unwrap();
    make(&registry, &token.change).unwrap();
    make(&registry, &Change::RemoveTenant { tenant: name("acme") }).unwrap();
    assert!(registry.read(|reading| reading.roster(&name("acme"))).is_err());
    assert!(registry.read(|reading| reading.token(&token.id)).is_err());
    let domains = registry.read(Reading::all_domains).unwrap();
    assert_eq!(domains.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>(), ["second.example"]);
    // Who comes next under the name finds nothing there.
    make(&registry, &add_tenant("acme")).unwrap();
    let roster = registry.read(|reading| reading.roster(&name("acme"))).unwrap();
    assert_eq!((roster.domains.len(), roster.bindings.len(), roster.secrets.len()), (0, 0, 0));
    assert!(registry.read(|reading| reading.modules(&name("acme"))).unwrap().is_empty());
}

#[test]
fn who_did_what_is_written_down_without_secrets() {
    let registry = furnished();
    let value = b"a secret of sixteen octets".to_vec();
    make(&registry, &Change::SetSecret { tenant: name("acme"), secret: name("key"), value }).unwrap();
    let _ = make(&registry, &add_tenant("acme"));
    let all = registry.read(|reading| reading.audit(None, None, 100)).unwrap();
    assert_eq!(all.items.len(), 7, "a change that was refused has no line");
    let last = &all.items[0];
    assert_eq!((last.number, &*last.what, &*last.who), (7, "secret.set", "test"));
    assert_eq!(last.change, json!({ "change": "set-secret", "tenant": "acme", "secret": "key" }));
    let page = registry.read(|reading| reading.audit(None, None, 5)).unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (5, Some("3")));
    let rest = registry.read(|reading| reading.audit(Some(&name("acme")), Some(3), 5)).unwrap();
    assert_eq!((rest.items.len(), rest.next), (2, None));
}

#[test]
fn tenants_come_in_pages() {
    let registry = memory();
    for number in 0..25 {
        make(&registry, &add_tenant(&format!("t{number:02}"))).unwrap();
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = registry.read(|reading| reading.tenants(after.as_deref(), 10)).unwrap();
        seen.extend(page.items.into_iter().map(|tenant| tenant.name.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..25).map(|number| format!("t{number:02}")).collect::<Vec<_>>());
}

#[test]
fn a_file_that_a_crash_left_half_made_is_no_registry() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("registry.redb.new"), b"half").unwrap();
    let registry = Embedded::open(dir.path(), &GRANTS).unwrap();
    make(&registry, &add_tenant("acme")).unwrap();
    drop(registry);
    let registry = Embedded::open(dir.path(), &GRANTS).unwrap();
    assert!(registry.read(|reading| reading.tenant(&name("acme"))).is_ok());
}

#[test]
fn a_newer_file_and_a_damaged_one_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(Embedded::open(dir.path(), &GRANTS).unwrap());
    let database = Database::create(dir.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table::META).unwrap().insert("format", &b"2"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Embedded::open(dir.path(), &GRANTS).err().unwrap().to_string();
    assert!(error.contains("has the format 2"), "{error}");
    let garbage = b"this is no database".repeat(1_000);
    std::fs::write(dir.path().join(FILE), &garbage).unwrap();
    let error = Embedded::open(dir.path(), &GRANTS).err().unwrap().to_string();
    assert!(error.starts_with("failed to open"), "{error}");
    assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), garbage);
}

/// A disk that stops to work after so many steps, and what it had then: what was written, and what of it was synced.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<DiskInner>);

#[derive(Debug, Default)]
struct DiskInner {
    images: Mutex<(Vec<u8>, Vec<u8>)>,
    steps_left: AtomicUsize,
}

impl Disk {
    fn with(image: Vec<u8>, steps: usize) -> Self {
        let inner = DiskInner { images: Mutex::new((image.clone(), image)), steps_left: AtomicUsize::new(steps) };
        Self(Arc::new(inner))
    }

    fn step(&self) -> io::Result<()> {
        let left = self.0.steps_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("the power is gone"))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.images.lock().unwrap().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.images.lock().unwrap().0[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step()?;
        self.0.images.lock().unwrap().0.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step()?;
        let (live, durable) = &mut *self.0.images.lock().unwrap();
        durable.clone_from(live);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step()?;
        let offset = usize::try_from(offset).unwrap();
        self.0.images.lock().unwrap().0[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn on(disk: &Disk) -> Result<Embedded, redb::Error> {
    let disk = disk.clone();
    let opening = move || Database::builder().create_with_backend(disk.clone());
    Ok(Embedded::on(Box::new(opening), &GRANTS)?.expect("the format is ours"))
}

/// All that can be seen, as text.
fn seen(registry: &Embedded) -> String {
    let tenants = registry.read(|reading| reading.tenants(None, 100)).unwrap().items;
    let rosters: Vec<_> =
        tenants.iter().map(|tenant| registry.read(|reading| reading.roster(&tenant.name)).unwrap()).collect();
    let audit = registry.read(|reading| reading.audit(None, None, 100)).unwrap().items;
    format!("{rosters:?} {audit:?} {:?}", registry.read(Reading::all_domains).unwrap())
}

#[test]
fn a_crash_at_any_step_leaves_each_change_whole_or_undone() {
    let mut changes = vec![add_tenant("acme"), add_domain("acme", "acme.example"), add_module("acme", "a")];
    changes.extend([add_module("acme", "b"), bind("acme", "filter", "a"), activate("acme", "filter", "b")]);
    changes.push(Change::RemoveTenant { tenant: name("acme") });
    // What can be seen after so many changes.
    let whole = memory();
    let mut states = vec![seen(&whole)];
    for change in &changes {
        make(&whole, change).unwrap();
        states.push(seen(&whole));
    }
    // Made whole before it has its name.
    let empty = Disk::with(Vec::new(), usize::MAX);
    drop(on(&empty).unwrap());
    let empty = empty.0.images.lock().unwrap().1.clone();
    let mut cuts = 0;
    for steps in 0.. {
        let disk = Disk::with(empty.clone(), steps);
        let mut answered = 0;
        if let Ok(registry) = on(&disk) {
            answered = changes.iter().take_while(|change| make(&registry, change).is_ok()).count();
        }
        let (live, durable) = disk.0.images.lock().unwrap().clone();
        for image in [live, durable] {
            let registry = on(&Disk::with(image, usize::MAX)).unwrap();
            let found = states.iter().position(|state| *state == seen(&registry)).expect("a change is there by halves");
            assert!((answered..=answered + 1).contains(&found), "{answered} answered, {found} there, cut at {steps}");
        }
        if answered == changes.len() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 50, "only {cuts} cuts");
}

#[test]
fn after_an_error_of_the_disk_it_goes_on() {
    let disk = Disk::with(Vec::new(), usize::MAX);
    let registry = on(&disk).unwrap();
    make(&registry, &add_tenant("acme")).unwrap();
    disk.0.steps_left.store(0, Ordering::SeqCst);
    assert!(matches!(make(&registry, &add_tenant("bravo")), Err(Failure::Broken(_))));
    disk.0.steps_left.store(usize::MAX, Ordering::SeqCst);
    make(&registry, &add_tenant("bravo")).unwrap();
    assert_eq!(registry.read(|reading| reading.tenants(None, 10)).unwrap().items.len(), 2);
}

/// Anything that may be asked for, sensible or not.
fn any_change() -> impl Strategy<Value = Change> {
    let tenant = || prop::sample::select(vec!["acme", "bravo"]);
    let letter = || prop::sample::select(HASHES.to_vec());
    let one = prop::sample::select(vec!["one", "two"]);
    prop_oneof![
        tenant().prop_map(add_tenant),
        (tenant(), prop::sample::select(vec!["a.example", "b.example"]))
            .prop_map(|(tenant, domain)| add_domain(tenant, domain)),
        (tenant(), letter()).prop_map(|(tenant, letter)| add_module(tenant, letter)),
        (tenant(), one.clone(), letter()).prop_map(|(tenant, one, letter)| bind(tenant, one, letter)),
        (tenant(), one.clone(), letter()).prop_map(|(tenant, one, letter)| activate(tenant, one, letter)),
        (tenant(), one.clone()).prop_map(|(tenant, one)| Change::RollBack { tenant: name(tenant), binding: name(one) }),
        (tenant(), one).prop_map(|(tenant, one)| Change::RemoveBinding { tenant: name(tenant), binding: name(one) }),
        (tenant(), letter())
            .prop_map(|(tenant, letter)| Change::RemoveModule { tenant: name(tenant), module: hash(letter) }),
        tenant().prop_map(|tenant| Change::RemoveTenant { tenant: name(tenant) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_asked_for_it_stays_in_order(changes in prop::collection::vec(any_change(), 1..60)) {
        let registry = memory();
        let mut lines = 0;
        for change in &changes {
            let before = seen(&registry);
            match make(&registry, change) {
                Ok(number) => {
                    lines += 1;
                    prop_assert_eq!(number, lines);
                }
                Err(Failure::Refused(_)) => prop_assert_eq!(before, seen(&registry)),
                Err(failure) => panic!("{failure}"),
            }
            let domains = registry.read(Reading::all_domains).unwrap();
            for tenant in registry.read(|reading| reading.tenants(None, 10)).unwrap().items {
                let roster = registry.read(|reading| reading.roster(&tenant.name)).unwrap();
                let modules = registry.read(|reading| reading.modules(&tenant.name)).unwrap();
                let there = |used: &ModuleHash| modules.iter().any(|module| module.hash == *used);
                prop_assert!(roster.bindings.iter().all(|binding| binding.modules().all(there)));
                prop_assert!(roster.domains.iter().all(|own| domains.iter().any(|all| all.name == *own && all.tenant == tenant.name)));
            }
        }
    }
}

#[test]
fn secrets_of_a_tenant_have_limits() {
    let registry = furnished();
    let set = |value: Vec<u8>| Change::SetSecret { tenant: name("acme"), secret: name("key"), value };
    assert_eq!(refused(&registry, &set(Vec::new())), "a secret has 16 to 4096 octets");
    make(&registry, &set(vec![0; 4_096])).unwrap();
    let there = matches!(
        make(&registry, &Change::RemoveSecret { tenant: name("acme"), secret: name("other") }),
        Err(Failure::Refused(Refusal::NotThere("secret", _)))
    );
    assert!(there);
}
