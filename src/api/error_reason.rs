//! Why a request or a verb failed, apart from what other groups of reasons name.

use super::names::names;

names! {
    /// Why a request, on the command line or over HTTP, has no answer. The names are a contract: scripts match on them.
    ErrorReason {
        /// The command line, or the request, is not one that undrift takes.
        Usage,
        /// No object has this name.
        NoSuchObject,
        /// No incident has this ID.
        NoSuchIncident,
        /// Nothing is at this path.
        NoSuchPath,
        /// The path does not take this method.
        MethodNotAllowed,
        /// Too many connections are open at the control socket.
        TooManyConnections,
        /// The loop that reconciles stands still.
        LoopStuck,
        /// Some object has not been observed since the start.
        NotYetObserved,
        /// The daemon manages the object as another spec declares it.
        SpecDiffers,
        /// The running undrift refuses the request.
        Refused,
        /// Another undrift holds the state folder.
        StateLocked,
        /// A daemon did not run, or not to its end.
        DaemonFailed,
        /// The answer cannot be printed, or a connection broke.
        InputOutput,
    }
}
