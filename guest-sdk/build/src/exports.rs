//! What a plugin's component exports, for those who write a module around the author's functions.

use wit_parser::{Interface, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner, Variant, WorldItem};

use crate::{BuildError, Project, world};

/// A function that the component exports. All names are as in the contract.
#[derive(Debug)]
pub(crate) struct Export {
    /// The interface that it is the one function of, such as `hook-data-post`.
    pub(crate) interface: String,
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) kind: Kind,
}

/// A parameter of a function.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// Its type with the interface that it is from; none for a text. Of a list that of its items.
    pub(crate) ty: Option<(String, String)>,
    pub(crate) optional: bool,
    pub(crate) list: bool,
}

impl Export {
    /// The names of the parameters, as a language writes names.
    pub(crate) fn parameters(&self, written: impl Fn(&str) -> String) -> Vec<String> {
        self.parameters.iter().map(|parameter| written(&parameter.name)).collect()
    }
}

/// What is done with what the author's function returns.
#[derive(Debug)]
pub(crate) enum Kind {
    /// The manifest is asked for.
    Describe,
    /// The author's function fails, or not.
    Configure,
    /// Nothing.
    Nothing,
    /// It becomes a record of type `outcome`. Each verdict comes with what it carries; there is none where nothing is
    /// decided.
    Answer { outcome: String, verdicts: Vec<(String, &'static str)> },
    /// It becomes a variant of type `verdict` of the interface `delivery`: there is nothing to change. Each case comes with what
    /// it carries.
    Verdict { verdict: String, cases: Vec<(String, &'static str)> },
}

/// Everything that a project's component exports.
pub(crate) fn exports(project: &Project) -> Result<Vec<Export>, BuildError> {
    let (resolve, world) = world::resolve(project.hooks.iter().map(String::as_str))?;
    let interfaces = resolve.worlds[world].exports.values().filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some(&resolve.interfaces[*id]),
        _ => None,
    });
    Ok(interfaces.flat_map(|interface| of_interface(&resolve, interface)).collect())
}

fn of_interface(resolve: &Resolve, interface: &Interface) -> Vec<Export> {
    let functions = interface.functions.iter().map(|(name, function)| Export {
        interface: interface.name.clone().unwrap_or_default(),
        name: name.clone(),
        parameters: function.params.iter().map(|given| parameter(resolve, &given.name, given.ty)).collect(),
        kind: match (name.as_str(), function.result) {
            ("describe", _) => Kind::Describe,
            ("configure", _) => Kind::Configure,
            (_, None) => Kind::Nothing,
            (_, Some(ty)) => match kind(resolve, ty) {
                TypeDefKind::Variant(variant) => {
                    Kind::Verdict { verdict: type_name(resolve, ty), cases: cases(resolve, variant) }
                }
                _ => Kind::Answer { outcome: type_name(resolve, ty), verdicts: verdicts(resolve, ty) },
            },
        },
    });
    functions.collect()
}

fn parameter(resolve: &Resolve, name: &str, ty: Type) -> Parameter {
    let (ty, optional, list) = match kind(resolve, ty) {
        TypeDefKind::Option(inner) => (*inner, true, false),
        TypeDefKind::List(item) => (*item, false, true),
        _ => (ty, false, false),
    };
    Parameter { name: name.to_owned(), ty: origin(resolve, ty), optional, list }
}

/// Interface and name of a record, an enumeration or the like, where it is written down; none for what is only text.
fn origin(resolve: &Resolve, ty: Type) -> Option<(String, String)> {
    let Type::Id(id) = ty else { return None };
    match &resolve.types[id] {
        TypeDef { kind: TypeDefKind::Type(Type::String), .. } => None,
        TypeDef { kind: TypeDefKind::Type(next), .. } => origin(resolve, *next),
        TypeDef { name: Some(name), owner: TypeOwner::Interface(interface), .. } => {
            Some((resolve.interfaces[*interface].name.clone()?, name.clone()))
        }
        _ => None,
    }
}

fn type_name(resolve: &Resolve, ty: Type) -> String {
    let name = if let Type::Id(id) = ty { resolve.types[id].name.clone() } else { None };
    name.unwrap_or_default()
}

/// The verdicts of an answer, each with what it carries.
fn verdicts(resolve: &Resolve, answer: Type) -> Vec<(String, &'static str)> {
    let TypeDefKind::Record(record) = kind(resolve, answer) else { return Vec::new() };
    let Some(verdict) = record.fields.iter().find(|field| field.name == "verdict") else { return Vec::new() };
    let TypeDefKind::Variant(variant) = kind(resolve, verdict.ty) else { return Vec::new() };
    cases(resolve, variant)
}

/// What a verdict may be, each with what it carries.
fn cases(resolve: &Resolve, variant: &Variant) -> Vec<(String, &'static str)> {
    let items = |ty: Type| match origin(resolve, ty) {
        Some((_, name)) if name == "answer" => "answers",
        _ => "exchanges",
    };
    let carries = |ty: Option<Type>| match ty {
        None => "nothing",
        Some(Type::String) => "text",
        Some(Type::U32) => "seconds",
        Some(ty) => match kind(resolve, ty) {
            TypeDefKind::Option(Type::String) => "optional text",
            TypeDefKind::Option(Type::U32) => "optional seconds",
            TypeDefKind::List(item) => items(*item),
            _ => "reply",
        },
    };
    variant.cases.iter().map(|case| (case.name.clone(), carries(case.ty))).collect()
}

/// What a type is, behind the names that `use` gave it.
fn kind(resolve: &Resolve, ty: Type) -> &TypeDefKind {
    fn of(resolve: &Resolve, id: TypeId) -> &TypeDefKind {
        match &resolve.types[id].kind {
            TypeDefKind::Type(Type::Id(next)) => of(resolve, *next),
            known => known,
        }
    }
    match ty {
        Type::Id(id) => of(resolve, id),
        _ => &TypeDefKind::Unknown,
    }
}

/// `data-post` becomes `DataPost`.
pub(crate) fn pascal(name: &str) -> String {
    name.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// `data-post` becomes `dataPost`.
pub(crate) fn camel(name: &str) -> String {
    let pascal = pascal(name);
    pascal[..1].to_ascii_lowercase() + &pascal[1..]
}

/// `data-post` becomes `data_post`.
pub(crate) fn snake(name: &str) -> String {
    name.replace('-', "_")
}
