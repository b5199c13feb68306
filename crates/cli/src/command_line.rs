//! The command line, and the variables that stand for arguments of it.
//!
//! A variable that is set to nothing counts as not set. Flags win over variables: where a flag and a variable exclude each other, the
//! variable is not heard, while two flags, or two variables, are a wrong call.

use clap::builder::{OsStr, Resettable};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Id};

use crate::cli::Cli;
use crate::error::Failure;
use crate::output;

/// How the names of all variables begin that stand for arguments.
const OURS: &str = "VODFERRY_";

/// What was asked for.
pub(crate) fn read() -> Result<Cli, clap::Error> {
    let empty =
        |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = deaf(Cli::command(), &empty);
    // To the parser a variable is as good as a flag: so it is first asked without what excludes what, to see what came from where.
    let lenient = each(command.clone(), &|arg| arg.conflicts_with(Resettable::<Id>::Reset));
    let beaten = lenient.try_get_matches().map(|matches| beaten(&command, &matches));
    let beaten = beaten.unwrap_or_default();
    let command = deaf(command, &|arg| beaten.contains(arg.get_id()));
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// Help, version, or what is wrong with the command line. Of arguments that a terminal would not show as they are (a glob may have put
/// them there), and of variables that stand for arguments, the text is not repeated.
pub(crate) fn misread(error: &clap::Error) -> ! {
    use clap::error::ContextKind;
    let variables =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(OURS));
    let mut words = std::env::args_os().chain(variables.map(|(_, value)| value));
    let odd = words.any(|word| word.to_string_lossy().contains(output::is_unfit));
    if !(odd && error.use_stderr()) {
        error.exit();
    }
    let what = error.kind().as_str().unwrap_or("the command line is not understood");
    let which = error.get(ContextKind::InvalidArg).map(|which| format!(": {which}"));
    Failure::usage(format!("{what}{}", which.unwrap_or_default()))
        .hint(format!("an argument, or a variable {OURS}…, holds control characters"))
        .print();
    std::process::exit(error.exit_code())
}

/// The arguments whose variables are set although a flag excludes them.
fn beaten(command: &Command, matches: &ArgMatches) -> Vec<Id> {
    let source = |arg: &Arg| matches.value_source(arg.get_id().as_str());
    let mut found = Vec::new();
    for arg in command.get_arguments() {
        for other in command.get_arg_conflicts_with(arg) {
            use ValueSource::{CommandLine, EnvVariable};
            match (source(arg), source(other)) {
                (Some(CommandLine), Some(EnvVariable)) => found.push(other.get_id().clone()),
                (Some(EnvVariable), Some(CommandLine)) => found.push(arg.get_id().clone()),
                _ => {}
            }
        }
    }
    if let Some((name, matches)) = matches.subcommand()
        && let Some(verb) = command.find_subcommand(name)
    {
        found.extend(beaten(verb, matches));
    }
    found
}

/// The command without the variables of these arguments.
fn deaf(command: Command, to: &impl Fn(&Arg) -> bool) -> Command {
    each(command, &|arg| match to(&arg) {
        true => arg.env(Resettable::<OsStr>::Reset),
        false => arg,
    })
}

/// Changes the arguments of all verbs, and of those below them.
fn each<F: Fn(Arg) -> Arg>(command: Command, change: &F) -> Command {
    command.mut_args(change).mut_subcommands(|verb| each(verb, change))
}
