//! Asks plugins at the same time that don't depend on each other.
//!
//! A plugin mostly waits: for DNS, for a scanner, for a store. A chain of such plugins should cost as much as the slowest, not
//! the sum. Nothing of that may show in what is decided: members of a group see the same question that they would
//! see one by one, their answers are applied in order, and the first decisive one wins.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::task::{Context as TaskContext, Poll};

use crate::{Answer, Binding, BoxFuture, Footprint, Hook, Question};

/// Plugins that are asked at the same time. Each needs an instance of its own meanwhile, so that one message could
/// otherwise occupy a good part of all instances.
const GROUP_MAX: usize = 16;

/// Puts those to be asked at a hook into groups: each member depends on none before it in its group.
pub(crate) fn groups(bindings: &[Binding], asked: Vec<usize>) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in asked {
        match groups.last_mut() {
            Some(group) if group.len() < GROUP_MAX && joins(bindings, group, at) => group.push(at),
            _ => groups.push(vec![at]),
        }
    }
    groups
}

fn joins(bindings: &[Binding], group: &[usize], at: usize) -> bool {
    let Some(footprint) = bindings[at].plugin.footprint() else { return false };
    group.iter().all(|before| {
        let before = &bindings[*before];
        before.plugin.footprint().is_some_and(|of_before| !Footprint::shows(of_before, &before.name, footprint))
    })
}

/// Puts a question to all of them. Returns the answers of the first ones in order, at least one: up to the first that
/// seems to decide. What the others would have said is not waited for. Each hears of its own grants.
pub(crate) async fn ask(bindings: &[&Binding], asked: &Question<'_>) -> Vec<Answer> {
    let hook = asked.hook;
    let question = |binding: &&Binding| Question { grants: binding.grants, ..*asked };
    let questions: Vec<Question<'_>> = bindings.iter().map(question).collect();
    let mut calls: Vec<Call<'_>> =
        bindings.iter().zip(&questions).map(|(binding, question)| Call::new(binding, question)).collect();
    let needed = poll_fn(|task| advance(&mut calls, hook, task)).await;
    calls.truncate(needed);
    calls.into_iter().filter_map(|call| call.answer).collect()
}

/// One plugin being asked.
struct Call<'a> {
    binding: &'a Binding,
    asked: BoxFuture<'a, Answer>,
    answer: Option<Answer>,
}

impl<'a> Call<'a> {
    fn new(binding: &'a Binding, question: &'a Question<'a>) -> Self {
        Self { binding, asked: binding.plugin.ask(question), answer: None }
    }
}

/// Goes on with all that have not answered. Ready with the number of calls that count.
fn advance(calls: &mut [Call<'_>], hook: Hook, task: &mut TaskContext<'_>) -> Poll<usize> {
    let mut all_before_answered = true;
    for (at, call) in calls.iter_mut().enumerate() {
        if call.answer.is_none()
            && let Poll::Ready(answer) = call.asked.as_mut().poll(task)
        {
            call.answer = Some(answer);
        }
        match &call.answer {
            Some(answer) if all_before_answered && call.binding.seems_to_decide(hook, answer) => {
                return Poll::Ready(at + 1);
            }
            Some(_) => {}
            None => all_before_answered = false,
        }
    }
    if all_before_answered { Poll::Ready(calls.len()) } else { Poll::Pending }
}
