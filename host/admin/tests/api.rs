//! Stories of the API, over HTTP on loopback, with a real registry.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio::sync::oneshot;
use wasmail_admin::{Api, Examined, Order, Serving, Unacceptable, Works, serve};
use wasmail_tenants::{
    Author, BoxFuture, Change, Embedded, Metadata, Modules, NewToken, Registry, Scope, Tenant, TenantName, Version,
};

const GRANTS: [&str; 2] = ["dns", "kv"];

/// A server that takes every module but those that begin with `bad`.
struct Plain(Mutex<Vec<&'static str>>, Sender<Arc<Value>>);

impl Default for Plain {
    fn default() -> Self {
        Self(Mutex::default(), Sender::new(4))
    }
}

impl Works for Plain {
    fn examine<'a>(&'a self, _: &'a Tenant, octets: Vec<u8>) -> BoxFuture<'a, Result<Examined, Unacceptable>> {
        let examined = Examined {
            metadata: Metadata { name: "test".into(), ..Metadata::default() },
            hooks: vec!["rcpt".into()],
            imports: Vec::new(),
            needs: Vec::new(),
        };
        let refused = Unacceptable { what: "it is no component".into(), help: "build it anew".into() };
        Box::pin(async move { if octets.starts_with(b"bad") { Err(refused) } else { Ok(examined) } })
    }

    fn try_version<'a>(&'a self, _: &'a TenantName, version: &'a Version) -> BoxFuture<'a, Result<(), Unacceptable>> {
        let refused = Unacceptable { what: "`mode` is unknown".into(), help: "see its README".into() };
        Box::pin(async move { if version.config.contains_key("mode") { Err(refused) } else { Ok(()) } })
    }

    fn changed<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, ()> {
        self.0.lock().unwrap().push(change.name());
        Box::pin(async {})
    }

    fn messages<'a>(
        &'a self,
        tenant: Option<&'a TenantName>,
        held: bool,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        let message = json!({ "id": "1", "tenant": tenant.map(TenantName::as_str), "held": held });
        Box::pin(async { Ok(vec![message]) })
    }

    fn order<'a>(&'a self, _: Option<&'a TenantName>, id: &'a str, _: Order) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move { Ok(id == "1") })
    }

    fn decisions(&self) -> Receiver<Arc<Value>> {
        self.1.subscribe()
    }

    fn metrics(&self, tenant: Option<&TenantName>) -> String {
        format!("messages{{tenant={:?}}} 1\n# EOF\n", tenant.map_or("*", TenantName::as_str))
    }

    fn usage(&self, _: &TenantName) -> Value {
        json!({ "messages": 3 })
    }

    fn comparison(&self, _: &TenantName, _: &str) -> Option<Value> {
        None
    }
}

/// A server of the API, on a registry of its own.
struct House {
    address: SocketAddr,
    operator: String,
    reader: String,
    registry: Embedded,
    works: Arc<Plain>,
    dir: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
    runtime: tokio::runtime::Runtime,
}

/// What the server answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn is_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.to_lowercase().contains("content-type: application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:wasmail:problem:{kind}"), "{self:?}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
}

impl House {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let registry = Embedded::open(dir.path(), &GRANTS).unwrap();
        let token = |read_only| {
            let made = NewToken::make("test", Scope::Operator { read_only }, None).unwrap();
            let author = Author { who: "test".into(), from: None, at: 1 };
            registry.change_now(&author, &made.change).unwrap();
            made.secret
        };
        let (operator, reader) = (token(false), token(true));
        let modules = Arc::new(Modules::open(&dir.path().join("modules")).unwrap());
        let works = Arc::new(Plain::default());
        let api = Api::new(Arc::new(registry.clone()), modules, Arc::clone(&works) as Arc<dyn Works>);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        runtime.spawn(serve(api, Serving { listener, tls: None }, shutdown));
        Self { address, operator, reader, registry, works, dir, _stop: stop, runtime }
    }

    /// Sends octets, and hears all that is said until the server closes.
    fn raw(&self, octets: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // A server that has heard enough may close before it has read all.
        let _ = stream.write_all(octets);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or((&said, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn with(&self, token: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n{authorization}{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.with(token, method, path, "", &body)
    }

    /// What the operator asks must be done.
    fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.ask(&self.operator, method, path, body);
        assert!((200..300).contains(&reply.status), "{method} {path}: {reply:?}");
        if reply.body.is_empty() { Value::Null } else { reply.json() }
    }

    /// A tenant with a domain, a module, a binding, a secret; its tokens: one that may write, one that may read.
    fn tenant(&self, name: &str) -> (String, String, String) {
        let at = format!("/v1/tenants/{name}");
        self.done("PUT", &at, &json!({ "title": name, "grants": ["dns"] }));
        self.done("PUT", &format!("{at}/domains/{name}.example"), &Value::Null);
        let token = |read_only| {
            let wanted = json!({ "label": "its own", "read-only": read_only });
            self.done("POST", &format!("{at}/tokens"), &wanted)["token"].as_str().unwrap().to_owned()
        };
        let (own, reader) = (token(false), token(true));
        let reply = self.with(&own, "POST", &format!("{at}/modules"), "", format!("module of {name}").as_bytes());
        assert_eq!(reply.status, 201, "{reply:?}");
        let hash = reply.json()["hash"].as_str().unwrap().to_owned();
        let bound = self.ask(&own, "PUT", &format!("{at}/bindings/filter"), &json!({ "module": hash }));
        assert_eq!(bound.status, 201, "{bound:?}");
        let secret = self.with(&own, "PUT", &format!("{at}/secrets/key"), "", b"a secret of sixteen octets");
        assert_eq!(secret.status, 204, "{secret:?}");
        (own, reader, hash)
    }

    /// Every endpoint of the API's own description, with names of what is there filled in: method, path, whether the tenant's own
    /// token may use it.
    fn endpoints(&self, tenant: &str, module: &str, token: &str, ends: bool) -> Vec<(String, String, bool)> {
        let document = self.with("", "GET", "/v1/openapi.json", "", b"").json();
        let mut found = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                // What never ends has a story of its own.
                let endless = path.ends_with("/decisions") && ends;
                if operation["security"].is_null() || endless {
                    continue;
                }
                let path = path.replace("{tenant}", tenant).replace("{domain}", &format!("{tenant}.example"));
                let path = path.replace("{module}", module).replace("{binding}", "filter").replace("{secret}", "key");
                let path = if path.starts_with("/v1/tokens/") {
                    path.replace("{id}", token)
                } else {
                    path.replace("{id}", "1?order=release")
                };
                let own = operation["description"].as_str().unwrap().contains("tenant");
                found.push((method.to_uppercase(), path, own));
            }
        }
        found
    }
}

#[test]
fn a_module_goes_its_way() {
    let house = House::new();
    let (own, _, first) = house.tenant("acme");
    let at = "/v1/tenants/acme";
    let uploaded = house.with(&own, "POST", &format!("{at}/modules"), "", b"a newer module");
    let second = uploaded.json()["hash"].as_str().unwrap().to_owned();
    let ask = |method: &str, path: &str, body: &Value| {
        let reply = house.ask(&own, method, &format!("{at}/bindings/filter{path}"), body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let tried = ask("PUT", "/rollout", &json!({ "module": second }));
    assert_eq!((&tried["rollout"]["kind"], &tried["active"]["module"]), (&json!("shadow"), &json!(first)));
    let tried = ask("PUT", "/rollout", &json!({ "module": second, "percent": 10 }));
    assert_eq!((&tried["rollout"]["kind"], &tried["rollout"]["percent"]), (&json!("share"), &json!(10)));
    let active = ask("POST", "/activate", &json!({ "module": second, "config": { "a": 1 } }));
    assert_eq!((&active["active"]["module"], &active["rollout"]), (&json!(second), &Value::Null));
    let back = ask("POST", "/rollback", &Value::Null);
    assert_eq!(back["active"]["module"], json!(first));
    let told = house.works.0.lock().unwrap().clone();
    assert_eq!(
        told[told.len() - 5..],
        ["module.add", "binding.roll-out", "binding.roll-out", "binding.activate", "binding.roll-back"]
    );
    let audit = house.ask(&own, "GET", &format!("{at}/audit?limit=1"), &Value::Null).json();
    let line = &audit["items"][0];
    assert_eq!((&line["what"], &line["from"]), (&json!("binding.roll-back"), &json!("127.0.0.1")));
    assert_eq!(line["who"], json!(&own[4..20]));
}

#[test]
fn no_endpoint_shows_one_tenant_to_another() {
    let house = House::new();
    let (_, _, module) = house.tenant("acme");
    let (stranger, _, _) = house.tenant("bravo");
    let acmes =
        house.done("GET", "/v1/tenants/acme/tokens", &Value::Null)["items"][0]["id"].as_str().unwrap().to_owned();
    let before = house.done("GET", "/v1/audit", &Value::Null)["items"][0]["number"].clone();
    let endpoints = house.endpoints("acme", &module, &acmes, false);
    assert!(endpoints.len() > 30, "{endpoints:?}");
    for (method, path, own) in endpoints {
        if path == "/v1/tenants" {
            let seen = house.ask(&stranger, &method, &path, &Value::Null).json();
            assert_eq!(seen["items"].as_array().unwrap().len(), 1);
            assert_eq!(seen["items"][0]["name"], "bravo");
            continue;
        }
        // Good bodies, so that it is the token that is refused.
        let body = json!({ "module": module, "label": "x", "order": "release" });
        let reply = house.ask(&stranger, &method, &path, &trimmed(&path, &method, body));
        let status = if own { 404 } else { 403 };
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        assert!(!reply.body.contains("filter"), "{method} {path}: {reply:?}");
    }
    assert_eq!(house.done("GET", "/v1/audit", &Value::Null)["items"][0]["number"], before, "something was changed");
}

/// A body that the endpoint takes.
fn trimmed(path: &str, method: &str, body: Value) -> Value {
    let wanted: &[&str] = match (method, path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "activate") | ("PUT", "rollout" | "filter") => &["module"],
        ("POST", "tokens") => &["label"],
        ("PUT" | "PATCH", _) => &[],
        _ => return Value::Null,
    };
    let all = body.as_object().unwrap().clone();
    all.into_iter().filter(|(key, _)| wanted.contains(&key.as_str())).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn who_may_only_read_changes_nothing() {
    let house = House::new();
    let (_, reader, module) = house.tenant("acme");
    let token = reader[4..20].to_owned();
    let before = house.done("GET", "/v1/audit", &Value::Null)["items"][0]["number"].clone();
    for (method, path, own) in house.endpoints("acme", &module, "0000000000000000", true) {
        for reader in [&reader, &house.reader] {
            let body = trimmed(&path, &method, json!({ "module": module, "label": "x" }));
            let reply = house.ask(reader, &method, &path, &body);
            let may_see = own || *reader == house.reader;
            match (method.as_str(), may_see) {
                ("GET", true) if path.contains("comparison") => assert_eq!(reply.status, 404, "{reply:?}"),
                ("GET", true) => assert_eq!(reply.status, 200, "{method} {path}: {reply:?}"),
                ("DELETE", _) if path.starts_with("/v1/tokens") => assert_eq!(reply.status, 404, "{reply:?}"),
                _ => assert_eq!(reply.status, 403, "{method} {path}: {reply:?}"),
            }
        }
    }
    assert_eq!(house.done("GET", "/v1/audit", &Value::Null)["items"][0]["number"], before);
    // But its own end it may bring about.
    assert_eq!(house.ask(&reader, "DELETE", &format!("/v1/tokens/{token}"), &Value::Null).status, 204);
    house.ask(&reader, "GET", "/v1/tenants", &Value::Null).is_problem(401, "unauthorized");
}

#[test]
fn without_a_token_nothing_is_answered_and_guesses_end() {
    let house = House::new();
    let (_, _, module) = house.tenant("acme");
    for (method, path, _) in house.endpoints("acme", &module, "1", false) {
        let reply = house.ask("", &method, &path, &Value::Null);
        reply.is_problem(401, "unauthorized");
        assert!(reply.head.to_lowercase().contains("www-authenticate: bearer"), "{reply:?}");
    }
    let guess = format!("wml_0123456789abcdef_{}", "A".repeat(43));
    let guesses: Vec<u16> = (0..25).map(|_| house.ask(&guess, "GET", "/v1/tenants", &Value::Null).status).collect();
    assert_eq!(guesses.iter().filter(|status| **status == 401).count(), 20, "{guesses:?}");
    let reply = house.ask(&house.operator, "GET", "/v1/tenants", &Value::Null);
    reply.is_problem(429, "too-many");
    assert!(reply.head.to_lowercase().contains("retry-after: "), "{reply:?}");
}

#[test]
fn a_module_that_is_too_large_is_not_read_to_its_end() {
    let house = House::new();
    let (own, _, _) = house.tenant("acme");
    house.done("PATCH", "/v1/tenants/acme", &json!({ "quotas": { "module-size": 1000 } }));
    let head = format!(
        "POST /v1/tenants/acme/modules HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {own}\r\n\
         Content-Length: 1000000000\r\n\r\n"
    );
    // A gigabyte is announced, and two kilobytes come: the answer does not wait for the rest.
    let reply = house.raw(&[head.as_bytes(), &[0; 2_000]].concat());
    reply.is_problem(413, "too-large");
    assert_eq!(reply.json()["most"], 1000);
    let drafts = std::fs::read_dir(house.dir.path().join("modules")).unwrap();
    assert_eq!(drafts.count(), 1, "only the one that was kept before");
}

#[test]
fn what_is_refused_leaves_nothing_on_the_disk() {
    let house = House::new();
    let (own, _, _) = house.tenant("acme");
    let upload = |octets: &[u8]| house.with(&own, "POST", "/v1/tenants/acme/modules", "", octets);
    upload(b"bad octets").is_problem(422, "not-acceptable");
    house.done("PATCH", "/v1/tenants/acme", &json!({ "quotas": { "modules": 1 } }));
    upload(b"one too many").is_problem(403, "over-quota");
    // What it has already is none more.
    assert_eq!(upload(b"module of acme").status, 201);
    assert_eq!(std::fs::read_dir(house.dir.path().join("modules")).unwrap().count(), 1);
}

#[test]
fn refusals_say_what_to_change() {
    let house = House::new();
    let (own, _, module) = house.tenant("acme");
    let at = "/v1/tenants/acme";
    let reply = house.with(&own, "POST", &format!("{at}/modules"), "", b"bad octets");
    reply.is_problem(422, "not-acceptable");
    assert_eq!(reply.json()["help"], "build it anew");
    let binding = format!("{at}/bindings/second");
    house.with(&own, "PUT", &binding, "", b"{\"module\": 7}").is_problem(422, "invalid");
    let wrong = house.ask(&own, "PUT", &binding, &json!({ "module": module, "priority": "high" }));
    assert_eq!(wrong.json()["errors"][0]["pointer"], "/priority", "{wrong:?}");
    house.with(&own, "PUT", &binding, "", b"{\"module\": ").is_problem(400, "not-json");
    let reply = house.ask(&own, "PUT", &binding, &json!({ "module": module, "config": { "mode": 1 } }));
    reply.is_problem(422, "refused");
    let reply = house.ask(&own, "PUT", &binding, &json!({ "module": module, "grants": ["kv"] }));
    reply.is_problem(422, "invalid");
    assert!(reply.body.contains("may not give the grant `kv`"), "{reply:?}");
    house.ask(&own, "PUT", &format!("{at}/bindings/filter"), &json!({ "module": module })).is_problem(409, "taken");
    house.ask(&own, "DELETE", &format!("{at}/modules/{module}"), &Value::Null).is_problem(409, "in-use");
    house.ask(&own, "GET", "/v1/nowhere", &Value::Null).is_problem(404, "not-found");
    house.ask(&own, "PUT", "/v1/tenants", &Value::Null).is_problem(405, "method-not-allowed");
    house.ask(&own, "GET", "/v1/tenants?limit=many", &Value::Null).is_problem(400, "bad-query");
    let order = format!("{at}/queue/1?order=lose");
    house.ask(&own, "POST", &order, &Value::Null).is_problem(422, "invalid");
    let most = vec![b' '; (2 << 20) + 1];
    house.with(&own, "PUT", &binding, "", &most).is_problem(413, "too-large");
}

#[test]
fn nobody_reads_a_secret_again() {
    let house = House::new();
    let (own, _, module) = house.tenant("acme");
    for (method, path, _) in
        house.endpoints("acme", &module, "1", true).into_iter().filter(|(method, ..)| method == "GET")
    {
        for token in [&own, &house.operator] {
            let reply = house.ask(token, &method, &path, &Value::Null);
            assert!(!reply.body.contains("sixteen"), "{path}: {reply:?}");
        }
    }
    let names = house.done("GET", "/v1/tenants/acme/secrets", &Value::Null);
    assert_eq!(names["items"][0]["name"], "key");
    let name: TenantName = "acme".parse().unwrap();
    let roster = house.runtime.block_on(house.registry.roster(&name)).unwrap();
    assert_eq!(roster.secrets[0].1, b"a secret of sixteen octets");
}

#[test]
fn who_was_slower_is_told() {
    let house = House::new();
    house.tenant("acme");
    let at = "/v1/tenants/acme";
    let reply = house.ask(&house.operator, "GET", at, &Value::Null);
    let tag = reply.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let patch = |tag: &str| {
        let header = format!("If-Match: {tag}\r\n");
        house.with(&house.operator, "PATCH", at, &header, b"{\"title\": \"Acme & Sons\"}")
    };
    assert_eq!(patch(&tag).status, 200);
    patch(&tag).is_problem(412, "changed");
    assert_eq!(patch("*").status, 200);
}

#[test]
fn a_tenant_with_keys_takes_signed_modules_only() {
    let house = House::new();
    let (own, _, _) = house.tenant("acme");
    let random = ring::rand::SystemRandom::new();
    let pair = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let key = BASE64.encode(pair.public_key().as_ref());
    house.done("PATCH", "/v1/tenants/acme", &json!({ "signers": [key] }));
    let module = b"a signed module";
    let upload = |headers: &str| house.with(&own, "POST", "/v1/tenants/acme/modules", headers, module);
    upload("").is_problem(422, "not-signed");
    let hash = data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, module).as_ref());
    let sign = |text: &str| format!("Wasmail-Signature: {}\r\n", BASE64.encode(pair.sign(text.as_bytes()).as_ref()));
    upload(&sign("something else")).is_problem(422, "not-signed");
    let reply = upload(&sign(&hash));
    assert_eq!((reply.status, &reply.json()["signer"]), (201, &json!(key)), "{reply:?}");
}

#[test]
fn decisions_are_told_as_they_are_made() {
    let house = House::new();
    let (own, _, _) = house.tenant("acme");
    let mut stream = TcpStream::connect(house.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let ask = format!("GET /v1/tenants/acme/decisions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own}\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut heard = String::new();
    let mut hear = |text: &str| {
        let mut octets = [0; 4096];
        while !heard.contains(text) {
            let count = stream.read(&mut octets).unwrap();
            assert!(count > 0, "the stream ended: {heard}");
            heard.push_str(&String::from_utf8_lossy(&octets[..count]));
        }
        heard.clone()
    };
    hear("text/event-stream");
    let tell = |tenant: &str, uuid: &str| drop(house.works.1.send(Arc::new(json!({ "tenant": tenant, "uuid": uuid }))));
    tell("bravo", "not yours");
    tell("acme", "first");
    let heard = hear("first");
    assert!(!heard.contains("not yours") && heard.contains("data: {"), "{heard}");
}

#[test]
fn the_description_is_whole_and_for_everybody() {
    let house = House::new();
    let document = house.with("", "GET", "/v1/openapi.json", "", b"").json();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    // Whatever is referred to is there.
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    assert_eq!(document["components"]["schemas"]["NewBinding"]["required"], json!(["module"]));
    assert_eq!(house.with("", "GET", "/healthz", "", b"").body, "ok\n");
    let reply = house.with("", "GET", "/healthz", "", b"");
    let head = reply.head.to_lowercase();
    assert!(head.contains("cache-control: no-store") && head.contains("x-content-type-options: nosniff"), "{head}");
}
