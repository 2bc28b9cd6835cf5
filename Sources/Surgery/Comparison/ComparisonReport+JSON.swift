import CheckpointIO
import OrderedJSON

extension ComparisonReport {
    /// The report as `--json` prints it.
    public var json: JSON {
        var json = plainJSON
        if let adapters { json["adapters"] = adapters.json }
        return json
    }

    private var plainJSON: JSON {
        [
            "kind": "comparison", "same": .bool(isSame), "same_architecture": .bool(sameArchitecture),
            "a": Self.json(a), "b": Self.json(b), "relation": Self.json(relation),
            "config": .array(config.map(\.json)), "generation_config": .array(generationConfig.map(\.json)),
            "same_chat_template": .bool(sameChatTemplate), "same_ties": .bool(sameTies),
            "tokenizer": Self.json(tokenizer), "total": Self.json(total),
            "tensors": .array(tensors.map(Self.json)),
            "layers": .array(
                cells.map { cell in
                    var json = Self.json(cell.statistics)
                    json["layer"] = cell.layer.map { .integer($0) } ?? .null
                    json["role"] = .string(cell.role.rawValue)
                    return json
                }),
            "control_tokens": .array(controlTokens.map(Self.json)),
            "moved_rows": .array(
                movedRows.map {
                    [
                        "tensor": .string($0.tensor), "id": .integer($0.id), "token": .string($0.text),
                        "change": .double(Double($0.change)),
                    ]
                }),
            "delta_bytes": deltaByteCount.map { .integer($0) } ?? .null,
            "optimizer": optimizer.map(Self.json) ?? .null,
            "mode_preference": modePreference.map(Self.json) ?? .null,
            "metrics": .array(metrics.map(Self.json)), "story": story?.json ?? .null,
        ]
    }

    private static func json(_ side: Side) -> JSON {
        [
            "path": .string(side.path), "digest": side.digest.isEmpty ? .null : .string(side.digest),
            "kind": .string(side.kind.rawValue),
            "step": .integer(side.step), "file_bytes": .integer(side.fileByteCount),
            "tensors": .integer(side.tensorCount), "parameters": .integer(side.parameterCount),
            "created_by": .string(side.createdBy),
            "lineage": .array(
                side.lineage.map {
                    [
                        "operation": .string($0.operation), "parent": $0.parent.map { .string($0) } ?? .null,
                        "tool": .string($0.tool),
                    ]
                }),
        ]
    }

    private static func json(_ relation: LineageRelation) -> JSON {
        func list(_ operations: [String]) -> JSON { .array(operations.map { .string($0) }) }
        switch relation {
        case .sameState: return ["kind": "same_state"]
        case .ancestor(let operations): return ["kind": "a_is_ancestor", "operations": list(operations)]
        case .descendant(let operations): return ["kind": "b_is_ancestor", "operations": list(operations)]
        case .sameRun(let operation, let start):
            return ["kind": "same_run", "operations": list([operation]), "start": .string(start)]
        case .commonAncestor(let digest): return ["kind": "common_ancestor", "digest": .string(digest)]
        case .unrelated: return ["kind": "unrelated"]
        }
    }

    private static func json(_ tokenizer: TokenizerComparison) -> JSON {
        func list(_ tokens: [TokenizerComparison.ChangedToken]) -> JSON {
            .array(
                tokens.map {
                    [
                        "token": .string($0.content), "id_a": $0.idA.map { .integer($0) } ?? .null,
                        "id_b": $0.idB.map { .integer($0) } ?? .null,
                    ]
                })
        }
        return [
            "same": .bool(tokenizer.isSame), "size_a": tokenizer.sizeA.map { .integer($0) } ?? .null,
            "size_b": tokenizer.sizeB.map { .integer($0) } ?? .null, "tokens": list(tokenizer.tokens),
            "parts": .array(tokenizer.parts.map { .string($0) }), "config": .array(tokenizer.config.map(\.json)),
            "control_tokens": list(tokenizer.controlTokens),
        ]
    }

    static func json(_ statistics: TensorDifference) -> JSON {
        [
            "elements": .integer(statistics.elementCount), "unread": .integer(statistics.unreadCount),
            "identical": .double(statistics.identicalFraction),
            "relative_change": .double(statistics.relativeChange), "norm_a": .double(statistics.normA),
            "norm_b": .double(statistics.normB), "difference_norm": .double(statistics.differenceNorm),
            "cosine": .double(statistics.cosine),
            "max_difference": .double(Double(statistics.largestDifference)),
            "sign_flips": .integer(statistics.signFlipCount), "non_finite_a": .integer(statistics.nonFiniteA),
            "non_finite_b": .integer(statistics.nonFiniteB),
        ]
    }

    private static func json(_ tensor: TensorComparison) -> JSON {
        var json: JSON = ["name": .string(tensor.name), "status": .string(tensor.status.rawValue)]
        if let shape = tensor.shapeA { json["shape_a"] = .array(shape.map { .integer($0) }) }
        if let shape = tensor.shapeB { json["shape_b"] = .array(shape.map { .integer($0) }) }
        if let type = tensor.typeA { json["dtype_a"] = .string(type.rawValue) }
        if let type = tensor.typeB { json["dtype_b"] = .string(type.rawValue) }
        if let type = tensor.quantizationA { json["quantization_a"] = .string(type) }
        if let type = tensor.quantizationB { json["quantization_b"] = .string(type) }
        if let block = tensor.worstBlock {
            json["worst_block"] = [
                "index": .array(block.index.map { .integer($0) }), "elements": .integer(block.elementCount),
                "relative_error": .double(block.relativeError),
            ]
        }
        if let statistics = tensor.statistics {
            json["statistics"] = Self.json(statistics)
            json["statistics"]?["max_difference_index"] = .array(tensor.largestIndex.map { .integer($0) })
        }
        return json
    }

    private static func json(_ token: ControlTokenComparison) -> JSON {
        func json(_ row: ControlTokenComparison.Row?) -> JSON {
            guard let row else { return .null }
            return [
                "norm_a": row.normA.map { .double(Double($0)) } ?? .null,
                "norm_b": row.normB.map { .double(Double($0)) } ?? .null,
                "relative_change": row.relativeChange.map { .double($0) } ?? .null,
                "cosine": row.cosine.map { .double($0) } ?? .null,
                "neighbors": .array(
                    row.neighbors.map {
                        ["id": .integer($0.id), "token": .string($0.text), "cosine": .double(Double($0.cosine))]
                    }),
            ]
        }
        return [
            "token": .string(token.name), "id_a": token.idA.map { .integer($0) } ?? .null,
            "id_b": token.idB.map { .integer($0) } ?? .null, "embedding": json(token.embedding),
            "head": json(token.head),
        ]
    }

    private static func json(_ optimizer: OptimizerComparison) -> JSON {
        func json(_ record: OptimizerRecord?) -> JSON {
            guard let record else { return .null }
            return [
                "step": .integer(record.step), "beta1": .double(record.beta1), "beta2": .double(record.beta2),
                "epsilon": .double(record.epsilon),
            ]
        }
        return [
            "a": json(optimizer.a), "b": json(optimizer.b),
            "first_moments": optimizer.firstMoments.map(Self.json) ?? .null,
            "second_moments": optimizer.secondMoments.map(Self.json) ?? .null,
        ]
    }

    private static func json(_ change: ModePreferenceChange) -> JSON { change.json }

    private static func json(_ metric: MetricChange) -> JSON {
        [
            "run": .string(metric.run), "name": .string(metric.name),
            "steps": .array(metric.steps.map { .integer($0) }),
            "values": .array(metric.values.map { .double($0) }),
        ]
    }
}

extension ModePreferenceChange {
    /// The member `mode_preference` of reports.
    package var json: JSON {
        let histogram = self.histogram()
        return [
            "step_a": .integer(stepA), "step_b": .integer(stepB),
            "p_think_a": .double(meanThinkA), "p_think_b": .double(meanThinkB),
            "p_short_a": .double(meanShortA), "p_short_b": .double(meanShortB),
            "entropy_a": .double(meanEntropyA), "entropy_b": .double(meanEntropyB),
            "levels": .array(
                levels.map {
                    [
                        "level": .string($0.name), "prompts": .integer($0.promptCount),
                        "p_think_a": .double($0.thinkA), "p_think_b": .double($0.thinkB),
                    ]
                }),
            "histogram_a": .array(histogram.a.map { .integer($0) }),
            "histogram_b": .array(histogram.b.map { .integer($0) }),
            "changed_sides": .integer(changedSides.count),
            "prompts": .array(
                prompts.map {
                    [
                        "prompt": .string($0.text), "level": .string($0.level), "p_think_a": .double($0.thinkA),
                        "p_think_b": .double($0.thinkB), "p_short_a": .double($0.shortA),
                        "p_short_b": .double($0.shortB), "changed_sides": .bool($0.changedSides),
                    ]
                }),
        ]
    }
}
