//! Writes the packets that fuzzing begins with to `corpus/wire`.

#[path = "packets.rs"]
mod packets;

fn main() -> std::io::Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/wire");
    std::fs::create_dir_all(folder)?;
    let all = packets::all();
    for (number, (version, bytes)) in all.iter().enumerate() {
        for limit in 0..4 {
            let input = [&[packets::control(*version, limit), number as u8][..], bytes].concat();
            std::fs::write(format!("{folder}/seed-{number:03}-{limit}"), input)?;
        }
    }
    println!("{} packets in {folder}", all.len());
    Ok(())
}
