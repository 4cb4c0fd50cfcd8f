//! Stores as earlier versions left them are taken over.
