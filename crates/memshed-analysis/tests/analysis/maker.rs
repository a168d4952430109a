//! Makes heaps by hand.

use memshed_heap::{
    Edges, Heap, Label, LabelKind, ObjectId, Root, RootKind, StringId, Type, TypeId,
};

#[derive(Default)]
pub struct Maker {
    pub heap: Heap,
}

impl Maker {
    pub fn string(&mut self, text: &str) -> StringId {
        self.heap.strings.intern(text)
    }

    /// A type of its own, even if there is one of that name.
    pub fn new_type(&mut self, name: &str) -> TypeId {
        let module = name
            .rsplit_once('.')
            .map_or("builtins", |(module, _)| module);
        let kind = Type {
            name: self.string(name),
            module: self.string(module),
            address: 0,
            object: ObjectId::NONE,
        };
        self.heap.types.push(kind);
        TypeId(self.heap.types.len() as u32 - 1)
    }

    /// The type of that name.
    pub fn kind(&mut self, name: &str) -> TypeId {
        let id = self.string(name);
        match self.heap.types.iter().position(|kind| kind.name == id) {
            Some(row) => TypeId(row as u32),
            None => self.new_type(name),
        }
    }

    /// An object that nothing holds.
    pub fn object_of(&mut self, kind: TypeId, size: u64, generation: u8) -> ObjectId {
        let objects = &mut self.heap.objects;
        let row = objects.len() as u32;
        objects.address.push(0x1000 + 64 * u64::from(row));
        objects.type_id.push(kind);
        objects.size.push(size);
        objects.allocated.push(size + 16);
        objects.refcount.push(1);
        objects.generation.push(generation);
        objects.holder.push(ObjectId::NONE);
        objects.holder_label.push(Label::new(LabelKind::Unknown, 0));
        ObjectId(row)
    }

    pub fn object(&mut self, kind: &str) -> ObjectId {
        let kind = self.kind(kind);
        self.object_of(kind, 48, 2)
    }

    pub fn root(&mut self, kind: RootKind, name: &str, of: &str) -> ObjectId {
        let object = self.object(of);
        let name = self.string(name);
        self.heap.roots.push(Root { object, kind, name });
        object
    }

    /// An object of type `kind` that `holder` holds so.
    pub fn held(&mut self, holder: ObjectId, label: Label, kind: &str) -> ObjectId {
        let object = self.object(kind);
        self.heap.objects.holder[object.0 as usize] = holder;
        self.heap.objects.holder_label[object.0 as usize] = label;
        object
    }

    pub fn named(&mut self, kind: LabelKind, name: &str) -> Label {
        Label::named(kind, self.string(name))
    }

    /// Two hops: the object's `__dict__`, and the entry there.
    pub fn in_dict(&mut self, holder: ObjectId, key: &str, kind: &str) -> ObjectId {
        let field = self.named(LabelKind::Field, "__dict__");
        let dict = self.held(holder, field, "dict");
        let key = self.named(LabelKind::Key, key);
        self.held(dict, key, kind)
    }

    pub fn index(&mut self, holder: ObjectId, index: u64, kind: &str) -> ObjectId {
        self.held(holder, Label::new(LabelKind::Index, index), kind)
    }

    pub fn attribute(&mut self, holder: ObjectId, name: &str, kind: &str) -> ObjectId {
        let label = self.named(LabelKind::Attribute, name);
        self.held(holder, label, kind)
    }

    /// The edges of the heap: `(source, label, target)` in any order.
    pub fn edges(&mut self, all: &[(ObjectId, Label, ObjectId)]) {
        let mut edges = Edges::default();
        edges.start.push(0);
        for row in 0..self.heap.objects.len() as u32 {
            for (_, label, target) in all.iter().filter(|edge| edge.0.0 == row) {
                edges.target.push(*target);
                edges.label.push(*label);
            }
            edges.start.push(edges.target.len() as u64);
        }
        self.heap.edges = Some(edges);
    }

    /// The edges that the column of holders tells, and `more`.
    pub fn edges_and(&mut self, more: &[(ObjectId, Label, ObjectId)]) {
        let objects = &self.heap.objects;
        let rows = (0..objects.len()).filter(|&row| objects.holder[row] != ObjectId::NONE);
        let mut all: Vec<_> = rows
            .map(|row| {
                (
                    objects.holder[row],
                    objects.holder_label[row],
                    ObjectId(row as u32),
                )
            })
            .collect();
        all.extend(more);
        self.edges(&all);
        for row in 0..self.heap.objects.len() {
            let count = all.iter().filter(|edge| edge.2.0 as usize == row).count();
            self.heap.objects.refcount[row] = count as u32;
        }
    }
}
