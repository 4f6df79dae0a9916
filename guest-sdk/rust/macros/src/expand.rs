//! Writes the code of a plugin.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Expr, ImplItem, ItemImpl, Result, Type, parse_quote};

use crate::args::{Arguments, Footprint};
use crate::hooks::HOOKS;

/// What package names begin with that the plugin's name does not.
const PREFIX: &str = "wasmail-plugin-";

/// The `impl` block with what was left out, and the exports.
pub(crate) fn expand(arguments: &Arguments, mut item: ItemImpl) -> Result<TokenStream> {
    check(&item)?;
    let methods = methods(&item);
    complete(arguments, &methods, &mut item);
    let exports = exports(&item.self_ty, &methods);
    Ok(quote!(#item #exports))
}

fn check(item: &ItemImpl) -> Result<()> {
    let of_plugin = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
    if of_plugin.is_none_or(|segment| segment.ident != "Plugin") {
        return Err(Error::new_spanned(&item.self_ty, "expected `impl Plugin for ...`"));
    }
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, "a plugin is one type: it has no generic parameters"));
    }
    Ok(())
}

fn methods(item: &ItemImpl) -> Vec<String> {
    let name = |item: &ImplItem| match item {
        ImplItem::Fn(method) => Some(method.sig.ident.to_string()),
        _ => None,
    };
    item.items.iter().filter_map(name).collect()
}

/// Writes `manifest`, and `Config` and `configure` where they are left out.
fn complete(arguments: &Arguments, methods: &[String], item: &mut ItemImpl) {
    let has_config = item.items.iter().any(|item| matches!(item, ImplItem::Type(ty) if ty.ident == "Config"));
    if !has_config {
        item.items.push(parse_quote!(
            type Config = ::wasmail_guest::NoConfig;
        ));
    }
    let has_configure = methods.iter().any(|method| method == "configure");
    if !has_configure {
        let value: Expr = match has_config {
            true => parse_quote!(<Self as ::core::convert::From<Self::Config>>::from(config)),
            false => parse_quote!({
                let ::wasmail_guest::NoConfig {} = config;
                <Self as ::core::default::Default>::default()
            }),
        };
        item.items.push(parse_quote! {
            fn configure(config: Self::Config) -> ::core::result::Result<Self, ::std::string::String> {
                ::core::result::Result::Ok(#value)
            }
        });
    }
    item.items.push(manifest(arguments));
}

fn manifest(arguments: &Arguments) -> ImplItem {
    let name = arguments.name.as_ref().map_or_else(package_name, ToTokens::to_token_stream);
    let version = or(arguments.version.as_ref(), quote!(env!("CARGO_PKG_VERSION")));
    let description = or(arguments.description.as_ref(), quote!(env!("CARGO_PKG_DESCRIPTION")));
    let Arguments { reads_notes, reads_results, needs, .. } = arguments;
    let schema = match &arguments.config_schema {
        Some(schema) => quote!(::core::option::Option::Some(::std::string::String::from(#schema))),
        None => quote!(::core::option::Option::None),
    };
    let footprint = footprint(arguments.footprint.as_ref());
    parse_quote! {
        fn manifest() -> ::wasmail_guest::Manifest {
            let texts = |list: &[&str]| list.iter().map(|text| ::std::string::String::from(*text)).collect();
            ::wasmail_guest::Manifest {
                name: ::std::string::String::from(#name),
                version: ::std::string::String::from(#version),
                description: ::std::string::String::from(#description),
                reads_notes: texts(&[#(#reads_notes),*]),
                reads_results: texts(&[#(#reads_results),*]),
                needs: texts(&[#(#needs),*]),
                config_schema: #schema,
                footprint: #footprint,
            }
        }
    }
}

fn footprint(declared: Option<&Footprint>) -> TokenStream {
    let Some(Footprint { reads, writes, writes_notes }) = declared else {
        return quote!(::core::option::Option::None);
    };
    quote! {
        ::core::option::Option::Some(::wasmail_guest::Footprint {
            reads: ::wasmail_guest::Facts::empty() #(| ::wasmail_guest::Facts::#reads)*,
            writes: ::wasmail_guest::Facts::empty() #(| ::wasmail_guest::Facts::#writes)*,
            writes_notes: texts(&[#(#writes_notes),*]),
        })
    }
}

fn or(given: Option<&Expr>, default: TokenStream) -> TokenStream {
    given.map_or(default, ToTokens::to_token_stream)
}

fn package_name() -> TokenStream {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let name = package.strip_prefix(PREFIX).unwrap_or(&package);
    quote!(#name)
}

/// The exports of the component. Only there does anything unsafe stand: the entry points that `wit-bindgen` writes.
fn exports(plugin: &Type, methods: &[String]) -> TokenStream {
    let hooks = HOOKS.iter().filter(|hook| methods.iter().any(|method| method == hook.method));
    let hooks = hooks.map(crate::hooks::Hook::export);
    quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, clippy::all)]
        const _: () = {
            struct Exports;

            ::std::thread_local! {
                static PLUGIN: ::core::cell::OnceCell<#plugin> = const { ::core::cell::OnceCell::new() };
            }

            impl ::wasmail_guest::bindings::describe::exports::wasmail::policy::describe::Guest for Exports {
                fn describe() -> ::wasmail_guest::Manifest {
                    <#plugin as ::wasmail_guest::Plugin>::manifest()
                }
            }
            ::wasmail_guest::bindings::describe::export!(Exports);

            impl ::wasmail_guest::bindings::configure::exports::wasmail::policy::hook_configure::Guest for Exports {
                fn configure(
                    config: ::std::string::String,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    ::wasmail_guest::rt::log_panics();
                    PLUGIN.with(|plugin| ::wasmail_guest::rt::configure(plugin, &config))
                }
            }
            ::wasmail_guest::bindings::configure::export!(Exports);

            #(#hooks)*
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(arguments: &str, item: &str) -> std::result::Result<String, String> {
        let arguments = syn::parse_str(arguments).map_err(|error: Error| error.to_string())?;
        let item = syn::parse_str(item).map_err(|error: Error| error.to_string())?;
        expand(&arguments, item).map(|tokens| tokens.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_hooks_that_are_there_are_exported() {
        let item = "impl Plugin for X { fn mail(&self) {} fn data_post(&self) {} fn helper(&self) {} }";
        let code = written("", item).unwrap();
        let exported = |hook: &str| code.contains(&format!("hook_{hook} :: Guest for Exports"));
        let hooks: Vec<_> = HOOKS.iter().map(|hook| hook.method).filter(|hook| exported(hook)).collect();
        assert_eq!(hooks, ["mail", "data_post"]);
    }

    #[test]
    fn what_is_left_out_is_written_and_the_rest_is_left_alone() {
        let plain = written("", "impl Plugin for X {}").unwrap();
        assert!(plain.contains("type Config = :: wasmail_guest :: NoConfig"));
        assert!(plain.contains("Default > :: default ()"));
        let own = written("", "impl Plugin for X { type Config = Self; }").unwrap();
        assert!(own.contains("From < Self :: Config > > :: from (config)"));
        assert_eq!(own.matches("type Config").count(), 1);
        let all = "impl Plugin for X { type Config = C; fn configure(c: C) -> Result<Self, String> { todo(c) } }";
        assert_eq!(written("", all).unwrap().matches("fn configure (").count(), 2, "the author's, and the export");
    }

    #[test]
    fn a_footprint_is_none_unless_there_is_one() {
        let footprint = |arguments| {
            let code = written(arguments, "impl Plugin for X {}").unwrap();
            code.split("footprint : ").nth(1).unwrap().split("texts").next().unwrap().to_owned()
        };
        assert!(footprint("").starts_with(":: core :: option :: Option :: None"));
        assert!(footprint("footprint").contains("reads : :: wasmail_guest :: Facts :: empty () , writes"));
        let one = footprint("footprint(reads = [\"remote-host\"], writes_notes = [\"/a\"])");
        assert!(one.contains("empty () | :: wasmail_guest :: Facts :: REMOTE_HOST ,"), "{one}");
    }

    #[test]
    fn mistakes_are_found_by_the_compiler() {
        let error = |arguments, item| written(arguments, item).unwrap_err();
        let plain = "impl Plugin for X {}";
        assert!(error("needs = [\"relying\"]", plain).starts_with("unknown grant, expected one of relaying, "));
        assert!(error("need = []", plain).starts_with("expected one of name, "));
        assert!(error("needs = \"relaying\"", plain).starts_with("expected a list"));
        assert!(
            error("footprint(reads = [\"header\"])", plain).starts_with("unknown fact, expected one of relaying, ")
        );
        assert!(error("footprint(read = [])", plain).starts_with("expected one of reads, "));
        assert!(error("footprints", plain).starts_with("expected one of name, "));
        assert_eq!(error("", "impl X {}"), "expected `impl Plugin for ...`");
        assert_eq!(error("", "impl Clone for X {}"), "expected `impl Plugin for ...`");
        assert!(error("", "impl<T> Plugin for X<T> {}").starts_with("a plugin is one type"));
    }
}
