"""A small walker of HDF5 files as ckpt and h5py write them: superblock 0, version 1 headers and trees.

It lists the fields of the structure, to be changed, and recomputes the digests of docs/checkpoint-format.md after a
change, so that the lie is consistent. It is independent of ckpt and of libhdf5.
"""

import hashlib

UNDEFINED = 2**64 - 1
INTEGER, FLOAT, STRING, ENUMERATION = 0, 1, 3, 8


class Field:
    def __init__(self, offset, size, kind, where):
        self.offset, self.size, self.kind, self.where = offset, size, kind, where


class Broken(Exception):
    pass


class Walker:
    def __init__(self, content):
        self.content = content
        self.fields, self.objects, self.records, self.visited = [], {}, {}, set()
        if content[:8] != b"\x89HDF\r\n\x1a\n":
            raise Broken("signature")
        for offset, size, kind in [
            (8, 1, "version"),
            (9, 1, "version"),
            (10, 1, "version"),
            (12, 1, "version"),
            (13, 1, "size"),
            (14, 1, "size"),
            (16, 2, "count"),
            (18, 2, "count"),
            (20, 4, "flags"),
            (24, 8, "address"),
            (32, 8, "address"),
            (40, 8, "address"),
            (48, 8, "address"),
        ]:
            self.field(offset, size, kind, "superblock")
        self.entry(56, "superblock")
        self.header(self.number(64, 8), "/")

    def number(self, offset, size):
        part = self.content[offset : offset + size]
        if len(part) != size:
            raise Broken("beyond the end")
        return int.from_bytes(part, "little")

    def field(self, offset, size, kind, where):
        self.number(offset, size)
        self.fields.append(Field(offset, size, kind, where))

    def entry(self, offset, where):
        """A symbol table entry without its name."""
        for shift, size, kind in [
            (0, 8, "length"),
            (8, 8, "address"),
            (16, 4, "version"),
            (20, 4, "reserved"),
            (24, 8, "address"),
            (32, 8, "address"),
        ]:
            self.field(offset + shift, size, kind, where + " entry")

    def visit(self, address):
        if address in self.visited or len(self.visited) > 5000:
            raise Broken("a cycle")
        self.visited.add(address)

    def header(self, address, path):
        self.visit(address)
        for shift, size, kind in [
            (0, 1, "version"),
            (1, 1, "reserved"),
            (2, 2, "count"),
            (4, 4, "count"),
            (8, 4, "length"),
            (12, 4, "reserved"),
        ]:
            self.field(address + shift, size, kind, path + " header")
        count, blocks, found = self.number(address + 2, 2), [(address + 16, self.number(address + 8, 4))], {}
        attributes = []
        for start, length in blocks:
            offset = start
            while offset + 8 <= start + length and count:
                count -= 1
                kind, size = self.number(offset, 2), self.number(offset + 2, 2)
                where = f"{path} message {kind:#x}"
                for shift, width, sort in [(0, 2, "type"), (2, 2, "length"), (4, 1, "flags"), (5, 1, "reserved")]:
                    self.field(offset + shift, width, sort, where)
                data = offset + 8
                if kind == 0x10:
                    blocks.append((self.number(data, 8), self.number(data + 8, 8)))
                    self.field(data, 8, "address", where)
                    self.field(data + 8, 8, "length", where)
                elif kind == 0x11:
                    self.field(data, 8, "address", where)
                    self.field(data + 8, 8, "address", where)
                elif kind == 0x0C:
                    attributes.append((data, size))
                else:
                    for shift in range(size):
                        self.field(data + shift, 1, "byte", where)
                found.setdefault(kind, (data, size))
                offset = data + size
        self.objects[path] = found
        for data, size in attributes:
            self.attribute(data, size, path)
        if 0x11 in found:
            data = found[0x11][0]
            self.group(self.number(data, 8), self.number(data + 8, 8), path)
        elif 0x08 in found and 0x03 in found and 0x01 in found:
            self.dataset(found, path)

    def datatype(self, data):
        """(class, size in bytes, is signed) of a datatype message."""
        return self.number(data, 1) & 15, self.number(data + 4, 4), self.number(data + 1, 1) >> 3 & 1

    def space(self, data):
        version, rank = self.number(data, 1), self.number(data + 1, 1)
        start = data + (8 if version == 1 else 4)
        return [self.number(start + 8 * index, 8) for index in range(rank)]

    def attribute(self, data, size, path):
        for shift, width, kind in [(0, 1, "version"), (2, 2, "length"), (4, 2, "length"), (6, 2, "length")]:
            self.field(data + shift, width, kind, path + " attribute")
        lengths = [self.number(data + shift, 2) for shift in (2, 4, 6)]
        pad = (lambda length: (length + 7) // 8 * 8) if self.number(data, 1) == 1 else (lambda length: length)
        name_at = data + 8
        type_at = name_at + pad(lengths[0])
        space_at = type_at + pad(lengths[1])
        value_at = space_at + pad(lengths[2])
        name = bytes(self.content[name_at : name_at + lengths[0]]).rstrip(b"\0").decode("utf-8", "replace")
        for at, length in [(name_at, lengths[0]), (type_at, lengths[1]), (space_at, lengths[2])]:
            for shift in range(length):
                self.field(at + shift, 1, "byte", f"{path}@{name}")
        kind, width, signed = self.datatype(type_at)
        shape = self.space(space_at)
        count = 1
        for extent in shape:
            count *= extent
        if value_at + count * width > len(self.content):
            raise Broken("a value beyond the end")
        for shift in range(count * width):
            self.field(value_at + shift, 1, "value", f"{path}@{name}")
        self.records[f"{path}@{name}"] = (kind, width, signed, shape, value_at)

    def group(self, tree, heap, path):
        self.visit(heap)
        for shift, size, kind in [
            (0, 4, "signature"),
            (4, 1, "version"),
            (8, 8, "length"),
            (16, 8, "length"),
            (24, 8, "address"),
        ]:
            self.field(heap + shift, size, kind, path + " heap")
        names = self.number(heap + 24, 8)
        for shift in range(min(self.number(heap + 8, 8), 4000)):
            self.field(names + shift, 1, "byte", path + " heap names")
        for node in self.tree(tree, path, 8):
            for shift, size, kind in [(0, 4, "signature"), (4, 1, "version"), (6, 2, "count")]:
                self.field(node + shift, size, kind, path + " symbols")
            for index in range(self.number(node + 6, 2)):
                entry = node + 8 + 40 * index
                self.entry(entry, path)
                start = names + self.number(entry, 8)
                end = self.content.find(b"\0", start)
                name = bytes(self.content[start:end]).decode("utf-8", "replace")
                self.header(self.number(entry + 8, 8), path.rstrip("/") + "/" + name)

    def tree(self, address, path, key):
        """Fields of a version 1 tree; returns the addresses of its leaves' children."""
        self.visit(address)
        for shift, size, kind in [
            (0, 4, "signature"),
            (4, 1, "type"),
            (5, 1, "level"),
            (6, 2, "count"),
            (8, 8, "address"),
            (16, 8, "address"),
        ]:
            self.field(address + shift, size, kind, path + " tree")
        level, count, found = self.number(address + 5, 1), self.number(address + 6, 2), []
        for index in range(count):
            at = address + 24 + index * (key + 8)
            for shift in range(0, key, 4):
                self.field(at + shift, 4, "key", path + " tree")
            self.field(at + key, 8, "address", path + " tree child")
            child = self.number(at + key, 8)
            found += self.tree(child, path, key) if level else [child]
        return found

    def dataset(self, found, path):
        data = found[0x08][0]
        kind, width, signed = self.datatype(found[0x03][0])
        shape = self.space(found[0x01][0])
        storage = self.number(data + 1, 1)
        if storage == 1:
            address, length = self.number(data + 2, 8), self.number(data + 10, 8)
            self.field(data + 2, 8, "address", path + " layout")
            self.field(data + 10, 8, "length", path + " layout")
            if address != UNDEFINED:
                for shift in range(min(length, 3000)):
                    self.field(address + shift, 1, "value", path)
            self.records[path] = (kind, width, signed, shape, address)
        elif storage == 2:
            rank = self.number(data + 2, 1)
            self.field(data + 3, 8, "address", path + " layout")
            for index in range(rank):
                self.field(data + 11 + 4 * index, 4, "length", path + " layout")
            self.records[path] = None
            if self.number(data + 3, 8) != UNDEFINED:
                for chunk in self.tree(self.number(data + 3, 8), path, 8 + 8 * rank):
                    for shift in range(16):
                        self.field(chunk + shift, 1, "value", path + " chunk")

    # Digests

    def line(self, path):
        kind, width, signed, shape, address = self.records[path]
        count = 1
        for extent in shape:
            count *= extent
        content = bytes(self.content[address : address + count * width]) if count else b""
        if kind == STRING:
            name = "string"
            content = b"".join(
                content[at : at + width].rstrip(b"\0") + b"\0" for at in range(0, len(content), width or 1)
            )
        else:
            name = {INTEGER: "int64" if width == 8 else "uint8", FLOAT: "float64", ENUMERATION: "bool"}[kind]
        return f"{path}\t{name}\t{','.join(map(str, shape))}\t{hashlib.sha256(content).hexdigest()}\n"

    def text(self, path):
        _, width, _, _, address = self.records[path]
        return bytes(self.content[address : address + width]).rstrip(b"\0").decode("utf-8", "replace")


def is_tensor(path):
    return path.startswith(("/weights/", "/optimizer/m/", "/optimizer/v/"))


def digest_again(content, tokenizer):
    """Recomputes sha256 of unfiltered tensors and both digests in place. `tokenizer` is the hash of /tokenizer/json."""
    walker = Walker(content)

    def put(path, text):
        _, width, _, _, address = walker.records[path]
        if address + width > len(content):
            raise Broken("a text beyond the end")
        content[address : address + width] = text.encode()[:width].ljust(width, b"\0")

    tensors = [path for path in walker.records if is_tensor(path) and "@" not in path]
    for path in tensors:
        if walker.records[path]:
            kind, width, _, shape, address = walker.records[path]
            count = width
            for extent in shape:
                count *= extent
            put(
                path + "@sha256",
                hashlib.sha256(bytes(content[address : address + count]) if count else b"").hexdigest(),
            )
    lines = []
    for path in sorted(tensors, key=str.encode):
        shape = ",".join(map(str, walker.space(walker.objects[path][0x01][0])))
        lines.append(f"{path}\t{walker.text(path + '@dtype')}\t{shape}\t{walker.text(path + '@sha256')}\n")
    put("/@digest", hashlib.sha256("".join(lines).encode()).hexdigest())
    lines = []
    for path in sorted(walker.records, key=str.encode):
        if path in tensors or path == "/@record_digest":
            continue
        if walker.records[path] is None:
            if path != "/tokenizer/json":
                raise Broken("a chunked record")
            lines.append(f"{path}\tuint8\t{walker.space(walker.objects[path][0x01][0])[0]}\t{tokenizer}\n")
        else:
            lines.append(walker.line(path))
    put("/@record_digest", hashlib.sha256("".join(lines).encode()).hexdigest())
    return walker
